//! The shop: catalog, auth and checkout, in one process on one pool or each in its own, with an admin listener beside
//! them.
//!
//! The binary is thin over this library, so that a process that breaks things on purpose can start the same shop.

pub mod address;
pub mod admins;
pub mod advise;
pub mod app;
pub mod budget;
pub mod check;
pub mod claim;
pub mod config;
pub mod console;
pub mod database;
pub mod events;
pub mod failure;
pub mod health;
pub mod migrations;
pub mod openapi;
pub mod place;
pub mod reason;
pub mod reconcile;
pub mod roles;
mod running;
pub mod schema;
pub mod seed;
pub mod serve;
pub mod services;
pub mod settings;
pub mod sharing;
pub mod signals;
pub mod signing_key;
mod stock;
pub mod trust;
pub mod up;
pub mod waiting;

pub use address::Address;
pub use app::App;
pub use config::{Config, Purpose};

pub use failure::Failure;
pub use migrations::{Migrated, migrate};
pub use roles::{Role, roles};
pub use seed::{Factor, Scale, Seeded, Step, seed, seed_anew};
pub use services::{Service, Services};
pub use signals::Signals;
