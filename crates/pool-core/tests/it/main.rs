//! The ledger against a naive model of itself, and its rules one by one.

mod ageing;
mod cases;
mod classes;
mod homes;
mod knee;
mod model;
mod pauses;
mod places;
mod rules;
mod server;
mod share;
mod standstill;
mod world;
