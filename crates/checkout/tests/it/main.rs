//! Carts and orders as buyers see them, on a real Postgres, and what is left in the database afterwards.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod admin_returns;
mod cancels;
mod carts;
mod claims;
mod cleaning;
mod client;
mod crashes;
mod events;
mod fulfilment;
mod guests;
mod levels;
mod lists;
mod migration;
mod orders;
mod outages;
mod outbox;
mod races;
mod receiver;
mod reconciliation;
mod refunds;
mod refusals;
mod returns;
mod second_tries;
mod shelf;
mod takeovers;
mod tokens;
mod webhooks;
mod world;
