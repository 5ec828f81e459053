use std::fmt::Debug;
use std::time::{Duration, Instant};

mod knee;
mod numbers;
mod staffing;

pub use knee::Knee;
pub use staffing::Staffing;

/// What a [`Sizer`] sees at each tick.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Sample {
    /// The limit in force.
    pub limit: u32,
    /// The largest limit there is room for now: the ceiling without the reserve and without suspects.
    pub room: u32,
    /// The most connections that were in use at once since the last tick.
    pub peak: u32,
    /// The offered load since the last tick in Erlang: leases in use, callers waiting, and what the refused would have
    /// held, on average over time.
    pub offered: f64,
    /// Whether somebody has been waiting for most of the last 100 ms or longer, and there is no place for one.
    pub standing: bool,
    /// Requests refused since the last tick while there was no place for them.
    pub refused: u32,
    /// The least that traffic should find: the initial limit, or what there is room for where that is less.
    pub floor: u32,
    /// Leases that count against the limit, on average over the time since the last tick.
    pub used: f64,
    /// Leases that count against the limit and go on and on: for longer than a second, and ten times as long as leases are held on
    /// average. Counted ten times a second.
    pub going_on: u32,
    /// Leases given back since the last tick; those of suspects and those that nothing was done with do not count.
    pub completed: u32,
    /// Leases given back since the last tick of which a statement was cut off, by its caller or by the server's time limit; they are
    /// not among the completed.
    pub interrupted: u32,
    /// How long leases are held, on average of late.
    pub hold: Duration,
    /// The squared coefficient of variation of how long they are held.
    pub spread: f64,
    /// Of the sessions of this pool that run a statement, the share that waits for a lock, as a mean over about three looks; `None`
    /// where nobody has looked of late.
    pub lock_waits: Option<f64>,
}

/// What a [`Sizer`] wants, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The limit it wants; the ledger clamps it to what there is room for.
    pub limit: u32,
    /// Why, as a short fixed word for metrics and logs.
    pub reason: &'static str,
}

/// Decides how many leases may be out at once. The ledger asks every 20 ms while the pool is in use, under the pool's lock:
/// answer at once.
pub trait Sizer: Debug + Send {
    /// The limit from now on. The clock shows only the time in which the pool ran.
    fn tick(&mut self, now: Instant, sample: &Sample) -> Target;

    /// Whether the limit that it wanted last is a guess, which it raises as soon as it has seen it used up.
    fn guesses(&self) -> bool {
        false
    }

    /// The largest limit that it would want by now, however much were asked for, where it knows of one: traffic that needs as much is
    /// close to being refused. Asked after each tick.
    fn most(&self) -> u32 {
        u32::MAX
    }

    /// Whether it makes use of [`Sample::lock_waits`], which costs a statement each second while the limit is used up.
    fn wants_lock_waits(&self) -> bool {
        false
    }
}

/// Never moves the limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed;

impl Sizer for Fixed {
    fn tick(&mut self, _now: Instant, sample: &Sample) -> Target {
        Target { limit: sample.limit, reason: "fixed" }
    }
}
