//! The catalog as its clients see it, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod admin;
mod categories;
mod client;
mod lists;
mod product;
mod refusals;
mod search;
mod stock;
mod tokens;
mod world;
