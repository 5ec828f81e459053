//! Accounts as their users see them, on a real Postgres.

mod client;
mod login;
mod refresh;
mod refusals;
mod register;
mod world;
