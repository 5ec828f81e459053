//! What can happen to an order.

use EventKind::{
    Cancelled, Delivered, Expired, Paid, PaymentFailed, PaymentRetried, Placed, RefundFailed, RefundRequested,
    RefundSucceeded, ReturnApproved, ReturnReceived, ReturnRefunded, ReturnRejected, ReturnRequested, Shipped,
};

/// The kind of an event. No other is written; docs/events.md has a row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Placed,
    Paid,
    PaymentFailed,
    PaymentRetried,
    Expired,
    Cancelled,
    Shipped,
    Delivered,
    RefundRequested,
    RefundSucceeded,
    RefundFailed,
    ReturnRequested,
    ReturnApproved,
    ReturnRejected,
    ReturnReceived,
    ReturnRefunded,
}

/// Each kind, as it is kept and shown to the order's buyer.
const KINDS: [(EventKind, &str); 16] = [
    (Placed, "placed"),
    (Paid, "paid"),
    (PaymentFailed, "payment_failed"),
    (PaymentRetried, "payment_retried"),
    (Expired, "expired"),
    (Cancelled, "cancelled"),
    (Shipped, "shipped"),
    (Delivered, "delivered"),
    (RefundRequested, "refund_requested"),
    (RefundSucceeded, "refund_succeeded"),
    (RefundFailed, "refund_failed"),
    (ReturnRequested, "return_requested"),
    (ReturnApproved, "return_approved"),
    (ReturnRejected, "return_rejected"),
    (ReturnReceived, "return_received"),
    (ReturnRefunded, "return_refunded"),
];

impl EventKind {
    /// As it is kept, and shown to the order's buyer.
    pub(crate) fn as_str(self) -> &'static str {
        let row = KINDS.into_iter().find(|(known, _)| *known == self);
        row.expect("every kind has its row").1
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(|(kind, _)| kind)
    }

    /// As subscribers hear of it; a trigger makes the same of what is kept.
    pub(crate) fn topic(self) -> String {
        format!("order.{}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_a_row_for_each_kind_of_event_and_for_no_other() {
        let (_, table) = include_str!("../../../../docs/events.md").split_once("\n| `type` |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let first_cells = table.lines().skip(2).map(|row| row.split('|').nth(1).unwrap());
        let documented: Vec<_> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let kinds: Vec<_> = EventKind::all().map(EventKind::topic).collect();
        assert_eq!(documented, kinds);
    }
}
