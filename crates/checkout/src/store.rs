//! All SQL of checkout, one file per noun. Functions take a connection, never the pool: whoever calls them shows where
//! a lease or a transaction begins and ends.

pub(crate) mod carts;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod fulfilment;
pub(crate) mod inbox;
pub(crate) mod inventory;
pub(crate) mod keys;
pub(crate) mod orders;
pub(crate) mod reconciliation;
pub(crate) mod refunds;
pub(crate) mod returns;
pub(crate) mod stock;
pub(crate) mod subscribers;
