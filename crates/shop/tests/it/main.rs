//! The shop as its users meet it: started, called, killed, started again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod admins;
mod advise;
mod bouncers;
mod budget;
mod client;
mod dependencies;
mod drain;
mod edge;
mod events;
mod faults;
mod headers;
mod health;
mod kills;
mod metrics;
mod openapi;
#[cfg(feature = "otlp")]
mod otlp;
mod payments;
mod plans;
mod process;
mod quotas;
mod random;
mod readme;
mod reconcile;
mod recovery;
mod roles;
mod seed;
mod serve;
mod settings;
mod sharing;
mod slow_clients;
mod start;
mod stock;
mod tls;
