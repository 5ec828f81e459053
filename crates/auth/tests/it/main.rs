//! Accounts as their users see them, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod client;
mod keys;
mod login;
mod refresh;
mod refusals;
mod register;
mod throttle;
mod world;
