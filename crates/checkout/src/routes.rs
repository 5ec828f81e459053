//! The endpoints, one file per resource.

pub(crate) mod carts;
pub(crate) mod orders;
pub(crate) mod webhooks;
