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

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersQuery {
    /// Only orders of this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only orders of the buyer with this id.
    #[param(value_type = Option<Uuid>)]
    user: Option<String>,
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
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

/// An order in the list of all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderLine {
    /// Names it in a path.
    pub(crate) id: Uuid,
    /// What people call it by.
    pub(crate) number: String,
    /// The buyer's; null where a guest ordered.
    pub(crate) user_id: Option<Uuid>,
    /// How far it is.
    pub(crate) status: Status,
    /// The same, but of an order of which a part went back where it was before.
    #[serde(skip)]
    pub(crate) stage: Status,
    /// What was charged for it, or will be.
    pub(crate) total: Money,
    /// When it was ordered.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) placed_at: OffsetDateTime,
}

impl OrderLine {
    pub(crate) fn key(&self) -> Place {
        (Moment(self.placed_at), self.id)
    }
}

/// An order, with all that became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderFile {
    #[serde(flatten)]
    pub(crate) order: Order,
    /// The buyer's; null where a guest ordered.
    pub(crate) user_id: Option<Uuid>,
    /// Every attempt to pay, the first one first.
    pub(crate) payments: Vec<PaymentView>,
    /// What went back, or is to.
    pub(crate) refunds: Vec<RefundView>,
    /// What happened, the first one first.
    pub(crate) events: Vec<EventView>,
}

/// Money that goes back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub(crate) struct RefundView {
    /// Stays the same.
    pub(crate) id: Uuid,
    /// How much.
    pub(crate) amount: Money,
    /// Why, in the words of who asked for it.
    pub(crate) reason: String,
    /// `requested`; then `succeeded`, or `failed` where the provider refused.
    pub(crate) state: String,
    /// When it was asked for.
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
    /// Such as `placed`, `paid` or `shipped`. More may come.
    pub(crate) kind: String,
    /// Depends on the kind.
    pub(crate) data: serde_json::Value,
    /// When it happened.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) at: OffsetDateTime,
}

/// How an order is on its way.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shipment {
    /// Who carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    /// By what the carrier finds it.
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

/// Money that is to go back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedRefund {
    /// All that is left of the payment, unless it is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<Money>,
    /// For those who run the shop.
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
