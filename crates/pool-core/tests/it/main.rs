//! The ledger against a naive model of itself, and its rules one by one.

mod model;
mod rules;
mod world;
