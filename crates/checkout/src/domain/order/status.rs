//! Where an order is, and who may move it from where to where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::EventKind;

use Status::{
    Cancelled, Delivered, Expired, Paid, PartiallyRefunded, PaymentFailed, PendingPayment, Refunded, Shipped,
};

/// How far an order is. `pending_payment`: a payment is under way; `payment_failed`: it was declined, and may be tried
/// again while the units are held; `cancelled`: by its buyer or by the shop; `expired`: it was never paid;
/// `partially_refunded`, `refunded`: a part of what was paid went back, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderStatus)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// An attempt to pay it is under way. Its units are held.
    PendingPayment,
    /// The last attempt was declined. Its units are held until its reservation ends, and it may be paid for again.
    PaymentFailed,
    Paid,
    Shipped,
    Delivered,
    /// By its buyer or by the shop.
    Cancelled,
    /// It was never paid.
    Expired,
    Refunded,
    PartiallyRefunded,
}

/// What moves an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// The provider has charged it.
    Pay,
    /// The attempt has ended without money: it was declined, or called off.
    Fail,
    /// Its buyer pays for it again.
    TryAgain,
    /// Nobody will pay for it any more: its time is over, or it makes way.
    Expire,
    Cancel,
    Ship,
    Deliver,
    /// A part of what was paid was given back.
    RefundPart,
    /// All that was paid was given back.
    Refund,
}

/// Every move that there is: from which stage, and to where. All others are refused, here and by the statement that writes one.
/// An order of which a part went back is at the stage at which it was before.
const MOVES: [(Move, &[Status], Status); 9] = [
    (Move::Pay, &[PendingPayment], Paid),
    (Move::Fail, &[PendingPayment], PaymentFailed),
    (Move::TryAgain, &[PaymentFailed], PendingPayment),
    (Move::Expire, &[PendingPayment, PaymentFailed], Expired),
    (Move::Cancel, &[PendingPayment, PaymentFailed, Paid], Cancelled),
    (Move::Ship, &[Paid], Shipped),
    (Move::Deliver, &[Shipped], Delivered),
    (Move::RefundPart, &[Paid, Shipped, Delivered], PartiallyRefunded),
    (Move::Refund, &[Paid, Shipped, Delivered], Refunded),
];

impl Move {
    fn row(self) -> (&'static [Status], Status) {
        let row = MOVES.into_iter().find(|(known, ..)| *known == self);
        let (_, from, to) = row.expect("every move has its row");
        (from, to)
    }

    pub(crate) fn to(self) -> Status {
        self.row().1
    }

    /// What is told of it.
    pub(crate) fn event(self) -> EventKind {
        match self {
            Self::Pay => EventKind::Paid,
            Self::Fail => EventKind::PaymentFailed,
            Self::TryAgain => EventKind::PaymentRetried,
            Self::Expire => EventKind::Expired,
            Self::Cancel => EventKind::Cancelled,
            Self::Ship => EventKind::Shipped,
            Self::Deliver => EventKind::Delivered,
            // By the refund that moves the order.
            Self::RefundPart | Self::Refund => EventKind::RefundSucceeded,
        }
    }

    /// At which stage the order is then: what a part that went back leaves as it was.
    pub(crate) fn leads_to(self, stage: Status) -> Status {
        if self == Self::RefundPart { stage } else { self.to() }
    }

    pub(crate) fn is_allowed_from(self, stage: Status) -> bool {
        self.row().0.contains(&stage)
    }
}

impl Status {
    const ALL: [Self; 9] =
        [PendingPayment, PaymentFailed, Paid, Shipped, Delivered, Cancelled, Expired, Refunded, PartiallyRefunded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PendingPayment => "pending_payment",
            Self::PaymentFailed => "payment_failed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether it holds units that it has not paid for.
    pub(crate) fn holds_units(self) -> bool {
        matches!(self, PendingPayment | PaymentFailed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_move_has_one_row_and_every_state_its_name() {
        for (this, from, to) in MOVES {
            assert_eq!(MOVES.iter().filter(|(other, ..)| *other == this).count(), 1, "{this:?}");
            assert!(!from.is_empty() && from.iter().all(|from| this.is_allowed_from(*from)), "{this:?}");
            assert_eq!(this.to(), to);
        }
        for status in Status::ALL {
            assert_eq!(Status::named(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        proptest::collection::vec(proptest::sample::select(MOVES.map(|(this, ..)| this).to_vec()), 0..40)
    }

    proptest! {
        /// Whatever is tried, in whatever order, by those who ask the table first.
        #[test]
        fn no_order_is_shipped_or_refunded_that_was_not_paid_and_none_is_paid_twice(tried in moves()) {
            let (mut status, mut stage, mut paid) = (PendingPayment, PendingPayment, 0);
            for this in tried {
                if !this.is_allowed_from(stage) {
                    continue;
                }
                let before = status;
                (status, stage) = (this.to(), this.leads_to(stage));
                prop_assert!(stage != PartiallyRefunded, "nothing goes on from there");
                paid += u32::from(this == Move::Pay);
                prop_assert!(paid <= 1, "paid again from {before:?}");
                let needs_money = matches!(status, Paid | Shipped | Delivered | Refunded | PartiallyRefunded);
                prop_assert!(!needs_money || paid == 1, "{status:?} without being paid");
                prop_assert!(!status.holds_units() || paid == 0, "{status:?} holds units after it was paid");
                prop_assert!(!matches!(before, Cancelled | Expired | Refunded), "{before:?} is an end");
            }
        }
    }
}
