//! Starts, finds its data again, recovers, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backends;
mod leftovers;
mod start;
mod support;
