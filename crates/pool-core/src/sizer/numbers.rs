use std::time::Duration;

/// Declares the numbers in one place: each with its meaning, its name and its value.
macro_rules! numbers {
    ($($(#[$meaning:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        /// The numbers that the sizer goes by. They are in one place so that `bin/sim ablation` can show what each of them is worth.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Numbers {
            $($(#[$meaning])* pub(super) $name: $type,)*
        }

        impl Numbers {
            const SHIPPED: Self = Self { $($name: $value,)* };

            #[cfg(feature = "ablation")]
            pub(super) fn all() -> Vec<(&'static str, f64)> {
                vec![$((stringify!($name), Number::get(Self::SHIPPED.$name)),)*]
            }

            /// With one of them changed; `None` where none has this name.
            #[cfg(feature = "ablation")]
            pub(super) fn with(mut self, name: &str, value: f64) -> Option<Self> {
                match name {
                    $(stringify!($name) => self.$name = Number::of(value),)*
                    _ => return None,
                }
                Some(self)
            }
        }
    };
}

/// Durations are in seconds, logarithms to the base of e.
#[cfg(feature = "ablation")]
trait Number {
    fn get(self) -> f64;
    fn of(value: f64) -> Self;
}

#[cfg(feature = "ablation")]
impl Number for f64 {
    fn get(self) -> f64 {
        self
    }

    fn of(value: f64) -> Self {
        value
    }
}

#[cfg(feature = "ablation")]
impl Number for Duration {
    fn get(self) -> f64 {
        self.as_secs_f64()
    }

    /// What is too long to be counted is for ever.
    fn of(value: f64) -> Self {
        Self::try_from_secs_f64(value).unwrap_or(Self::MAX)
    }
}

impl Default for &'static Numbers {
    fn default() -> Self {
        &Numbers::SHIPPED
    }
}

numbers! {
    /// How much of what was offered since the last tick goes into the mean.
    weight: f64 = 1.0 / 3.0;
    /// How many square roots of the offered load there are above it.
    safety: f64 = 2.0;
    /// How many leases more.
    spare: f64 = 1.0;
    /// The share by which the limit grows at once.
    growth: f64 = 0.25;
    /// For how long what was needed is remembered.
    calm: Duration = Duration::from_secs(10);
    /// How often the limit shrinks after that.
    shrink_every: Duration = Duration::from_secs(1);
    /// The share by which it does.
    shrink: f64 = 0.1;

    /// By what the initial limit is multiplied for the first guess, and that again while it pays.
    double: f64 = 2.0;
    /// The elasticity above which doubling pays.
    steep: f64 = 0.5;
    /// How many standard deviations above that it lies where doubling begins anew.
    certain: f64 = 1.5;
    /// The elasticity at which more leases are not worth it any more.
    target: f64 = 0.1;
    /// The farthest that the cap moves at once, but for doubling, as a logarithm.
    stride: f64 = 0.4;
    /// The share of the cap from which on it is in use.
    in_use: f64 = 0.9;
    /// The share of the limit that may be missing where suspects come or go.
    moved: f64 = 0.0625;
    /// What was found longer ago than this says little.
    stale: Duration = Duration::from_secs(10);
    /// How many standard deviations from the target it has to be for trying to end where the way is barred.
    clear: f64 = 3.0;
    /// The same for not trying any longer.
    still_clear: f64 = 2.0;
    /// After so long it looks again whether the way that is barred is still the one to go.
    held: Duration = Duration::from_mins(1);
    /// The share of lock waits from which on it does not grow.
    locked: f64 = 0.3;
    /// By how much a share of lock waits above that raises the elasticity that is wanted.
    price_of_locks: f64 = 0.3;

    /// The elasticity that is expected before anything is known.
    expected: f64 = 1.0;
    /// The variance of an elasticity of which nothing is known.
    doubtful: f64 = 0.25;
    /// What is added to the variance from one finding to the next, since databases change.
    drift: f64 = 0.003;
    /// The same where the limits hardly differ.
    drift_near: f64 = 0.001;
    /// The least difference of two limits, as a logarithm, that says anything.
    apart: f64 = 0.05;
    /// Differences as large as this are not confused with a change of something else.
    far: f64 = 0.6;
    /// Squared standard deviations from which on a finding does not fit.
    strange: f64 = 9.0;
    /// The least variance where a finding that does not fit is believed.
    believed: f64 = 1.0;
    /// Over how many findings the noise is a mean.
    noise_over: f64 = 16.0;
    /// The most that it is taken for.
    noise_most: f64 = 25.0;
    /// The least elasticity that is believed.
    mean_least: f64 = -2.0;
    /// The most.
    mean_most: f64 = 1.2;
    /// The variance where it is as steep as it gets.
    steep_variance: f64 = 0.03;
    /// How much less a finding counts whose windows are compared with their other neighbours too.
    alternating: f64 = 2.0;
    /// How much of the largest change of slope is assumed.
    bend: f64 = 0.5;
    /// How much of Newton's step is made, over `bend`.
    step: f64 = 1.5;
    /// How many standard deviations beside the cap to try, as a logarithm.
    dither: f64 = 0.5;
    /// The least of that.
    dither_least: f64 = 0.12;
    /// The most.
    dither_most: f64 = 0.25;

    /// The least time for what began before to end.
    settle_least: Duration = Duration::from_millis(20);
    /// The most.
    settle_most: Duration = Duration::from_secs(1);
    /// Leases given back that show what doubling has brought.
    much: f64 = 40.0;
    /// Hold times that do.
    much_holds: f64 = 2.0;
    /// The least time that does.
    much_least: Duration = Duration::from_millis(40);
    /// The least time that must do, whatever was given back, and the least that shows what a few more bring.
    brief: Duration = Duration::from_millis(100);
    /// The most time that must do.
    must_most: Duration = Duration::from_millis(500);
    /// Leases given back that show what a few more bring, over `1 + cv²`.
    little: f64 = 150.0;
    /// The most of these.
    little_most: f64 = 4_000.0;
    /// Hold times that do.
    little_holds: f64 = 5.0;
    /// The time that must do.
    long: Duration = Duration::from_secs(10);
    /// The same where some leases come back, but fewer than say anything.
    longest: Duration = Duration::from_mins(1);
    /// The fewest leases given back that say anything.
    least: f64 = 5.0;
    /// The least squared coefficient of variation that is believed.
    spread_least: f64 = 0.5;

    /// The fewest leases whose cut share says anything.
    tells: f64 = 10.0;
    /// The share that is cut off where next to nothing is finished.
    vain: f64 = 0.95;
    /// The fewest leases of which that is believed without a window before.
    vain_seen: f64 = 30.0;
    /// By how much a larger share is cut off where it has become worse.
    worse: f64 = 0.15;
    /// How many standard deviations of chance are added to that, as a factor of the root of `1/n + 1/m`.
    chance: f64 = 1.5;
    /// How much of the share that is cut off the cap loses.
    retreat: f64 = 0.5;
    /// After so long the past says little of the present.
    forgotten: Duration = Duration::from_mins(1);
    /// After so long the cap may be what it was, where it is not used up, nobody came, or leases are held no longer than they were.
    over: Duration = Duration::from_secs(10);
    /// The least way that it comes back at once, as a logarithm.
    worth: f64 = 0.4;
    /// The fewest leases that show that it may.
    back_least: f64 = 20.0;
    /// How much more than before may be cut off then.
    back_slack: f64 = 0.05;
    /// How many times as fast as in the worst of it leases come back then, and are held for as much shorter; and how many times as many
    /// are tried where they are held no longer than before.
    faster: f64 = 2.0;
}
