//! Accounts as their users see them, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod addresses;
mod admins;
mod audit;
mod cleaning;
mod client;
mod keys;
mod login;
mod logout;
mod me;
mod passwords;
mod refresh;
mod refusals;
mod register;
mod throttle;
mod world;
