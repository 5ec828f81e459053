//! What buyers send back.

use std::collections::BTreeMap;

use forebay_platform::page::{Moment, PageRequest};
use forebay_platform::problem::{Code, Problem};
use forebay_platform::text::Check;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{EventKind, Order, Place, RefundView, Status};
use crate::error::Error;
use ReturnState::{Approved, Received, Refunded, Rejected, Requested};

/// In characters.
const LONGEST_REASON: usize = 500;
const MOST_ITEMS: usize = 50;

/// What is to be sent back, and why.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestReturn {
    /// Each SKU once, no more of it than was bought and not asked to be returned before.
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<ReturnItem>,
    /// For those who run the shop.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Units of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnItem {
    /// Which SKU.
    pub(crate) sku: String,
    /// How many.
    #[schema(minimum = 1, maximum = 99)]
    pub(crate) quantity: i32,
}

/// How far a return is: `requested`, then `approved` or `rejected`; `received` once the goods are back, and then
/// `refunded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReturnState {
    Requested,
    Approved,
    Rejected,
    /// The goods are back.
    Received,
    Refunded,
}

/// What moves a return. The shop makes all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnMove {
    Approve,
    Reject,
    Receive,
    Refund,
}

/// Every move that there is: from where, and to where.
const MOVES: [(ReturnMove, ReturnState, ReturnState); 4] = [
    (ReturnMove::Approve, Requested, Approved),
    (ReturnMove::Reject, Requested, Rejected),
    (ReturnMove::Receive, Approved, Received),
    (ReturnMove::Refund, Received, Refunded),
];

/// Goods that are sent back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Return {
    /// Names it in a path.
    pub(crate) id: Uuid,
    /// The order that they are of.
    pub(crate) order_id: Uuid,
    /// The buyer, unless it was a guest.
    #[serde(skip)]
    pub(crate) user_id: Option<Uuid>,
    /// How far it is.
    pub(crate) state: ReturnState,
    /// The buyer's words.
    pub(crate) reason: String,
    /// What is sent back.
    pub(crate) items: Vec<ReturnItem>,
    /// When it was asked for.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
    /// When it last moved on.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) updated_at: OffsetDateTime,
}

impl RequestReturn {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let sized = (1..=MOST_ITEMS).contains(&self.items.len());
        let mut check = Check::default().rule(sized, "/items", "must have 1 to 50 entries");
        for (at, item) in self.items.iter().enumerate().take(MOST_ITEMS) {
            let once = self.items[..at].iter().all(|before| before.sku != item.sku);
            check = check.rule(once, &format!("/items/{at}/sku"), "must not stand twice").rule(
                (1..=99).contains(&item.quantity),
                &format!("/items/{at}/quantity"),
                "must be between 1 and 99",
            );
        }
        check.line("/reason", &self.reason, LONGEST_REASON).finish().map_err(Error::Invalid)
    }
}

impl Return {
    /// A request to send these back, where the order has come, and as many are left of each: `asked` is what earlier returns
    /// have asked for that were not rejected.
    pub(crate) fn request(
        order: &Order,
        asked: &BTreeMap<String, i64>,
        RequestReturn { items, reason }: &RequestReturn,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        if order.stage != Status::Delivered {
            return Err(Error::OrderState(order.stage));
        }
        let mut check = Check::default();
        for (at, item) in items.iter().enumerate() {
            let bought = order.items.iter().find(|bought| bought.sku == item.sku);
            check = match bought {
                None => check.rule(false, &format!("/items/{at}/sku"), "must be in the order"),
                Some(bought) => {
                    let left = i64::from(bought.quantity) - asked.get(&item.sku).copied().unwrap_or_default();
                    let rule = format!("must be at most {left}, which is what is left to return");
                    check.rule(i64::from(item.quantity) <= left, &format!("/items/{at}/quantity"), rule)
                }
            };
        }
        check.finish().map_err(Error::Invalid)?;
        let (id, order_id, user_id, state) = (Uuid::now_v7(), order.id, order.user_id, Requested);
        let (items, reason) = (items.clone(), reason.clone());
        Ok(Self { id, order_id, user_id, state, reason, items, created_at: now, updated_at: now })
    }

    pub(crate) fn place(&self) -> Place {
        (Moment(self.created_at), self.id)
    }
}

/// Where those who run the shop list all of them.
const LIST: &str = "/v1/admin/returns";

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReturnsQuery {
    /// Only returns of this state.
    #[param(value_type = Option<ReturnState>)]
    state: Option<String>,
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

impl ReturnsQuery {
    /// The page, and the state of what is listed.
    pub(crate) fn parse(self) -> Result<(PageRequest<Place>, Option<ReturnState>), Problem> {
        let wrong =
            || Problem::of_parameter(Code::InvalidRequest, "state", "must be the name of a state, such as requested");
        let state = self.state.map(|name| ReturnState::named(&name).ok_or_else(wrong)).transpose()?;
        let filters = [("state", state.map(ReturnState::as_str))];
        Ok((PageRequest::parse(LIST, &filters, self.limit, self.cursor.as_deref())?, state))
    }
}

/// Goods that are sent back, as admins see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReturnFile {
    #[serde(flatten)]
    found: Return,
    /// The buyer's; null where a guest ordered.
    user_id: Option<Uuid>,
}

impl From<Return> for ReturnFile {
    fn from(found: Return) -> Self {
        Self { user_id: found.user_id, found }
    }
}

impl ReturnFile {
    pub(crate) fn place(&self) -> Place {
        self.found.place()
    }
}

/// A return whose goods are back, and what is paid for them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReturnReceived)]
pub(crate) struct ReceivedReturn {
    /// The return.
    #[serde(rename = "return")]
    pub(crate) returned: ReturnFile,
    /// What goes back for it; null where nothing is left of what was paid.
    pub(crate) refund: Option<RefundView>,
}

/// Goods that are back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    /// Whether they can be sold again: then they are on the shelf.
    pub(crate) restock: bool,
}

impl Return {
    /// What was paid for its goods, in minor units of the order's currency.
    pub(crate) fn worth(&self, order: &Order) -> i64 {
        let price =
            |sku: &str| order.items.iter().find(|item| item.sku == sku).map_or(0, |item| item.unit_price.amount);
        self.items.iter().map(|item| price(&item.sku) * i64::from(item.quantity)).sum()
    }
}

impl ReturnState {
    const ALL: [Self; 5] = [Requested, Approved, Rejected, Received, Refunded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Received => "received",
            Self::Refunded => "refunded",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// What is told of a return that has come there.
    pub(crate) fn event(self) -> EventKind {
        match self {
            Requested => EventKind::ReturnRequested,
            Approved => EventKind::ReturnApproved,
            Rejected => EventKind::ReturnRejected,
            Received => EventKind::ReturnReceived,
            Refunded => EventKind::ReturnRefunded,
        }
    }
}

impl ReturnMove {
    fn row(self) -> (ReturnState, ReturnState) {
        let row = MOVES.into_iter().find(|(known, ..)| *known == self);
        let (_, from, to) = row.expect("every move has its row");
        (from, to)
    }

    pub(crate) fn from(self) -> ReturnState {
        self.row().0
    }

    pub(crate) fn to(self) -> ReturnState {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_has_one_row_and_an_end_has_none() {
        for (this, from, to) in MOVES {
            assert_eq!((this.from(), this.to()), (from, to));
            assert_eq!(MOVES.iter().filter(|(other, ..)| *other == this).count(), 1);
        }
        for end in [Rejected, Refunded] {
            assert!(MOVES.iter().all(|(_, from, _)| *from != end));
        }
        for state in ReturnState::ALL {
            assert_eq!(ReturnState::named(state.as_str()), Some(state));
        }
    }
}
