//! The shop: catalog, auth and checkout in one process, on one pool, with an admin listener beside them.
//!
//! The binary is thin over this library, so that a process that breaks things on purpose can start the same shop.

pub mod app;
pub mod budget;
pub mod config;
pub mod database;
pub mod place;
pub mod seed;
pub mod signing_key;
pub mod up;

pub use app::App;
pub use config::Config;
pub use database::{Migrated, migrate};
pub use seed::{Scale, seed};
