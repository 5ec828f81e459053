//! The endpoints. Each lease ends before anything is rendered.

pub(crate) mod admin;
pub(crate) mod categories;
pub(crate) mod products;
