//! What happens to orders, told to whoever subscribes: each event at least once, and those of an order in their order.
//!
//! # Why none is lost, and none made up
//!
//! 1. An event is written to the **outbox** by the transaction that makes it happen: both are committed, or neither is.
//! 2. The publisher writes a **delivery** for each subscriber that wants it. What is new is what was not published yet, and not
//!    what has a greater id than the last one: ids are given before the commit, and become visible in another order.
//! 3. A delivery is **claimed** by an update that is committed before anything is sent, until a lease ends; it is posted with no
//!    connection held; and its outcome is written down. Killed before that, it is sent again when the lease has ended, with the
//!    same id: a receiver knows it.
//! 4. An event is not claimed before the subscriber has the earlier ones of its order. One that was given up, a **dead letter**,
//!    keeps the later ones of its order back until somebody replays or skips it: a receiver that follows an order sees no gap
//!    that it is not told of. Other orders go on.
//!
//! A receiver that does not answer is tried with one event a minute, and takes nobody else's turn: each has its own. Several
//! processes publish side by side.

mod publisher;
mod rules;
mod subscriptions;

pub use publisher::{PublishError, Published, Publisher};
pub use rules::{Pauses, Rules};
pub use subscriptions::{MOST_SUBSCRIBERS, Subscribed, Subscriber, SubscriptionError, Subscriptions, Target, Topics};
