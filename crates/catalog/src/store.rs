//! All SQL of the catalog. Functions take a connection, never the pool: the handler shows where a lease ends.

pub(crate) mod admin;
pub(crate) mod categories;
pub(crate) mod lists;
pub(crate) mod products;
pub(crate) mod stock;
