//! The catalog as its clients see it, on a real Postgres.

mod client;
mod lists;
mod product;
mod refusals;
mod world;
