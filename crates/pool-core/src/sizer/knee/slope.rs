use super::super::numbers::Numbers;
use super::Finding;

/// What is known of the elasticity at the cap: a mean, and how uncertain it is.
///
/// Where the cap moves the elasticity changes. By the Universal Scalability Law (Gunther, "Guerrilla Capacity Planning", 2007)
/// `de / d ln n` lies between `-e (1 - e)`, where there is only a queue for something serial, and `-(1 - e²)`, where there is only
/// crosstalk. Half of the latter is taken, and as much is added to what is uncertain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    numbers: &'static Numbers,
    mean: f64,
    variance: f64,
    /// How much more findings differ than the spread of hold times explains, squared.
    noise: f64,
    /// Whether the last finding fitted so badly that it was left out.
    doubted: bool,
}

impl Default for Slope {
    /// Until something else is known, twice as many do twice the work.
    fn default() -> Self {
        Self::new(Default::default())
    }
}

impl Slope {
    pub(super) const fn new(numbers: &'static Numbers) -> Self {
        Self { numbers, mean: numbers.expected, variance: numbers.doubtful, noise: 1.0, doubted: false }
    }

    pub(super) const fn mean(&self) -> f64 {
        self.mean
    }

    /// How far beside the cap to try, as a logarithm: farther while little is known.
    pub(super) fn dither(&self) -> f64 {
        (self.numbers.dither * self.variance.sqrt())
            .clamp(self.numbers.dither_least, self.numbers.dither_most.max(self.numbers.dither_least))
    }

    /// Of a place where nothing was measured: `mean` is no more than a beginning.
    pub(super) fn unknown(numbers: &'static Numbers, mean: f64) -> Self {
        Self { mean, ..Self::new(numbers) }
    }

    /// As steep as it gets: below, nothing was done at all.
    pub(super) fn steep(numbers: &'static Numbers) -> Self {
        Self { mean: numbers.mean_most, variance: numbers.steep_variance, ..Self::new(numbers) }
    }

    pub(super) const fn doubt(&mut self) {
        self.variance = self.variance.max(self.numbers.doubtful);
    }

    pub(super) fn certainly_above(&self, bound: f64) -> bool {
        self.mean - self.numbers.certain * self.variance.sqrt() > bound
    }

    /// Whether it is known on which side of this it lies, with so many standard deviations.
    pub(super) fn is_clear_of(&self, bound: f64, deviations: f64) -> bool {
        (self.mean - bound).abs() > deviations * self.variance.sqrt()
    }

    /// How far to move the cap, as a logarithm, so that the elasticity becomes `target`: three quarters of Newton's step for the
    /// change of slope that is assumed, which is stable while it really changes less than 4/3 for each unit. What is uncertain
    /// shortens it.
    pub(super) fn step_to(&self, target: f64) -> f64 {
        let off = self.mean - target;
        self.numbers.step * off * off * off / (off * off + self.variance)
    }

    fn bend(&self) -> f64 {
        -self.numbers.bend * (1.0 - self.mean * self.mean).max(0.0)
    }

    /// The cap moves.
    pub(super) fn shift(&mut self, by: f64) {
        let change = self.bend() * by;
        self.mean += change;
        self.variance += change * change;
    }

    /// Two windows with different limits, one after the other; says whether they fit what is known. What does not fit is
    /// left out once, since anything may have changed in between; the second time it is believed.
    pub(super) fn learn(&mut self, from: &Finding, to: &Finding, cap: f64) -> bool {
        let apart = to.leases - from.leases;
        let between = f64::midpoint(from.leases, to.leases);
        let expected = self.mean + self.bend() * (between - cap);
        let surprise = to.throughput - from.throughput - expected * apart;
        let scatter = self.noise * (from.variance + to.variance);
        self.variance += if apart.abs() < self.numbers.apart { self.numbers.drift_near } else { self.numbers.drift };
        let strange = surprise * surprise / (scatter + self.variance * apart * apart);
        self.noise = (self.noise * ((self.numbers.noise_over - 1.0) + strange.min(self.numbers.strange))
            / self.numbers.noise_over)
            .clamp(1.0, self.numbers.noise_most);
        if strange > self.numbers.strange {
            if !self.doubted && apart.abs() < self.numbers.far {
                self.doubted = true;
                self.doubt();
                return false;
            }
            self.variance = self.variance.max(self.numbers.believed);
        }
        self.doubted = false;
        if apart.abs() >= self.numbers.apart {
            self.correct(surprise / apart, scatter / (apart * apart), apart.abs() < self.numbers.far);
        }
        true
    }

    /// Where each window is compared with the one before and the one after it, it counts twice: so half as much each time.
    fn correct(&mut self, off: f64, uncertain: f64, alternating: bool) {
        let uncertain = if alternating { self.numbers.alternating * uncertain } else { uncertain };
        let gain = self.variance / (self.variance + uncertain);
        self.mean = (self.mean + gain * off).clamp(self.numbers.mean_least, self.numbers.mean_most);
        self.variance *= 1.0 - gain;
    }
}
