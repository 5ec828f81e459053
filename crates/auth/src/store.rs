//! All SQL of auth, one file per noun. Functions take a connection, never the pool: whoever calls them shows where a lease
//! or a transaction begins and ends.

pub(crate) mod addresses;
pub(crate) mod sessions;
pub(crate) mod users;
