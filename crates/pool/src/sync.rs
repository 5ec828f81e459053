//! What decides who comes first where two threads meet. `forebay-races` builds the pool with others in their place, to try
//! one order after another.

pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::{Mutex, MutexGuard};
