//! Orders as those who run the shop see them, and what they do with them.

use forebay_platform::page::{Moment, PageRequest};
use forebay_platform::problem::{Code, Problem};
use forebay_platform::text::Check;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Money, Order, PaymentView, Place, Status};
use crate::error::Error;
use crate::refunds::Refund;

/// Where the list is.
const LIST: &str = "/v1/admin/orders";

/// In characters.
const LONGEST_LINE: usize = 100;
const LONGEST_REASON: usize = 200;

/// The query of the list, as it is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersQuery {
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// The buyer's id.
    #[param(value_type = Option<Uuid>)]
    user: Option<String>,
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Which orders are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) status: Option<Status>,
    pub(crate) user_id: Option<Uuid>,
}

impl OrdersQuery {
    pub(crate) fn parse(self) -> Result<(PageRequest<Place>, Wanted), Problem> {
        let wrong =
            |name: &'static str, rule: &'static str| move || Problem::of_parameter(Code::InvalidRequest, name, rule);
        let status = self
            .status
            .map(|name| Status::named(&name).ok_or_else(wrong("status", "must be the name of a status, such as paid")));
        let user_id =
            self.user.map(|id| Uuid::try_parse(&id).map_err(|_no_id| wrong("user", "must be the id of a user")()));
        let wanted = Wanted { status: status.transpose()?, user_id: user_id.transpose()? };
        let user = wanted.user_id.map(|id| id.to_string());
        let filters = [("status", wanted.status.map(Status::as_str)), ("user", user.as_deref())];
        Ok((PageRequest::parse(LIST, &filters, self.limit, self.cursor.as_deref())?, wanted))
    }
}

/// An order as a line of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderLine {
    pub(crate) id: Uuid,
    /// What people call it by.
    pub(crate) number: String,
    /// Null where it is a guest's.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) status: Status,
    /// The same, but of an order of which a part went back where it was before.
    #[serde(skip)]
    pub(crate) stage: Status,
    pub(crate) total: Money,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) placed_at: OffsetDateTime,
}

impl OrderLine {
    pub(crate) fn key(&self) -> Place {
        (Moment(self.placed_at), self.id)
    }
}

/// The answer of `GET /v1/admin/orders/{id}`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderFile {
    #[serde(flatten)]
    pub(crate) order: Order,
    /// Null where it is a guest's.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) payments: Vec<PaymentView>,
    pub(crate) refunds: Vec<RefundView>,
    pub(crate) events: Vec<EventView>,
}

/// Money that goes back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(crate) struct RefundView {
    pub(crate) id: Uuid,
    pub(crate) amount: Money,
    pub(crate) reason: String,
    pub(crate) state: String,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) requested_at: OffsetDateTime,
}

impl From<&Refund> for RefundView {
    fn from(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            amount: Money { amount: refund.amount, currency: refund.currency.clone() },
            reason: refund.reason.clone(),
            state: refund.state.as_str().to_owned(),
            requested_at: refund.requested_at,
        }
    }
}

/// What happened to an order, with all that was noted of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderEventFile)]
pub(crate) struct EventView {
    pub(crate) kind: String,
    pub(crate) data: serde_json::Value,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) at: OffsetDateTime,
}

/// The body of `POST /v1/admin/orders/{id}/ship`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shipment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracking: Option<String>,
}

impl Shipment {
    pub(crate) fn check(&self) -> Result<(), Error> {
        Check::default()
            .optional_line("/carrier", self.carrier.as_deref(), LONGEST_LINE)
            .optional_line("/tracking", self.tracking.as_deref(), LONGEST_LINE)
            .finish()
            .map_err(Error::Invalid)
    }
}

/// The body of `POST /v1/admin/orders/{id}/refund`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedRefund {
    /// All that is left of the payment, unless it says less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<Money>,
    pub(crate) reason: String,
}

impl WantedRefund {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let positive = self.amount.as_ref().is_none_or(|money| money.amount > 0);
        Check::default()
            .rule(positive, "/amount/amount", "must be more than 0")
            .line("/reason", &self.reason, LONGEST_REASON)
            .finish()
            .map_err(Error::Invalid)
    }

    /// In the order's own currency.
    pub(crate) fn amount_in(&self, currency: &str) -> Result<Option<i64>, Error> {
        match &self.amount {
            Some(money) if money.currency != currency => {
                Err(Error::invalid("/amount/currency", &format!("must be {currency}, in which the order was paid")))
            }
            money => Ok(money.as_ref().map(|money| money.amount)),
        }
    }
}
