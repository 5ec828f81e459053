//! What the provider says by itself of a charge or a refund that ended, as JSON.

use axum::http::HeaderMap;
use forebay_platform::extract::Raw;
use forebay_platform::instant;
use forebay_platform::problem::Problem;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Bill, Charge, Outcome, Refund, RefundBill, RefundOutcome};

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Charge(Bill, Charge),
    Refund(RefundBill, Refund),
}

/// Fields that are not known are passed over: a provider may say more than it did.
#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Of<D> {
    data: D,
}

#[derive(Serialize)]
struct Written<'a, D> {
    r#type: &'a str,
    #[serde(serialize_with = "instant::serialize")]
    timestamp: OffsetDateTime,
    data: &'a D,
}

#[derive(Deserialize, Serialize)]
struct ChargeData {
    order_id: Uuid,
    attempt: i16,
    amount: i64,
    currency: String,
    reference: String,
}

#[derive(Deserialize, Serialize)]
struct RefundData {
    refund_id: Uuid,
    order_id: Uuid,
    attempt: i16,
    amount: i64,
    currency: String,
    reference: String,
}

impl Message {
    /// None where it is of a kind that is not known here.
    pub(crate) fn read(body: &Raw, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Kind { r#type } = body.json(headers)?;
        if let Some(outcome) = CHARGES.into_iter().find_map(|(name, outcome)| (name == r#type).then_some(outcome)) {
            let Of { data: ChargeData { order_id, attempt, amount, currency, reference } } = body.json(headers)?;
            return Ok(Some(Self::Charge(Bill { order_id, attempt, amount, currency }, Charge { outcome, reference })));
        }
        if let Some(outcome) = REFUNDS.into_iter().find_map(|(name, outcome)| (name == r#type).then_some(outcome)) {
            let Of { data: RefundData { refund_id, order_id, attempt, amount, currency, reference } } =
                body.json(headers)?;
            let bill = RefundBill { refund_id, order_id, attempt, amount, currency };
            return Ok(Some(Self::Refund(bill, Refund { outcome, reference })));
        }
        Ok(None)
    }

    pub(crate) fn write(&self, timestamp: OffsetDateTime) -> String {
        let written = match self.clone() {
            Self::Charge(Bill { order_id, attempt, amount, currency }, Charge { outcome, reference }) => {
                let r#type = name(&CHARGES, outcome);
                let data = &ChargeData { order_id, attempt, amount, currency, reference };
                serde_json::to_string(&Written { r#type, timestamp, data })
            }
            Self::Refund(bill, Refund { outcome, reference }) => {
                let r#type = name(&REFUNDS, outcome);
                let RefundBill { refund_id, order_id, attempt, amount, currency } = bill;
                let data = &RefundData { refund_id, order_id, attempt, amount, currency, reference };
                serde_json::to_string(&Written { r#type, timestamp, data })
            }
        };
        written.expect("strings, numbers and times always serialize")
    }

    pub(crate) fn attempt(&self) -> i16 {
        match self {
            Self::Charge(bill, _) => bill.attempt,
            Self::Refund(bill, _) => bill.attempt,
        }
    }

    /// The provider's name for the charge or refund.
    pub(crate) fn reference(&self) -> &str {
        match self {
            Self::Charge(_, charge) => &charge.reference,
            Self::Refund(_, refund) => &refund.reference,
        }
    }
}

const CHARGES: [(&str, Outcome); 3] = [
    ("charge.approved", Outcome::Approved),
    ("charge.declined", Outcome::Declined),
    ("charge.voided", Outcome::Voided),
];

const REFUNDS: [(&str, RefundOutcome); 2] =
    [("refund.succeeded", RefundOutcome::Succeeded), ("refund.refused", RefundOutcome::Refused)];

fn name<T: PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names.iter().find(|(_, outcome)| *outcome == wanted).map_or("", |(name, _)| name)
}
