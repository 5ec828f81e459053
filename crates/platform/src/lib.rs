//! What every service needs and none owns: configuration, telemetry, problem bodies, leases, serving, calls to others.

pub mod address;
pub mod admin;
pub mod admit;
pub mod alarm;
pub mod audit;
pub mod cleaning;
pub mod client;
mod compress;
pub mod config;
pub mod cors;
pub mod db;
pub mod email;
pub mod etag;
pub mod extract;
pub mod front;
pub mod identity;
pub mod instant;
pub mod openapi;
#[cfg(feature = "otlp")]
mod otlp;
pub mod outbound;
pub mod page;
pub mod problem;
pub mod quota;
pub mod security;
pub mod serve;
pub mod telemetry;
pub mod text;
mod timing;
pub mod trace;
mod visitor;
pub mod webhook;
