use super::Finding;

/// What is known of the elasticity at the cap: a mean, and how uncertain it is.
///
/// Where the cap moves the elasticity changes. By the Universal Scalability Law (Gunther, "Guerrilla Capacity Planning", 2007)
/// `de / d ln n` lies between `-e (1 - e)`, where there is only a queue for something serial, and `-(1 - e²)`, where there is only
/// crosstalk. Half of the latter is taken, and as much is added to what is uncertain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
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
        Self { mean: 1.0, variance: Self::DOUBTFUL, noise: 1.0, doubted: false }
    }
}

impl Slope {
    const DOUBTFUL: f64 = 0.25;
    /// What is added to the variance from one finding to the next, since databases change.
    const DRIFT: f64 = 0.003;
    /// The least difference of two limits, as a logarithm, that says anything.
    const APART: f64 = 0.05;
    /// Differences as large as this are not confused with a change of something else.
    const FAR: f64 = 0.6;
    /// Squared standard deviations from which on a finding does not fit.
    const STRANGE: f64 = 9.0;

    pub(super) const fn mean(&self) -> f64 {
        self.mean
    }

    /// How far beside the cap to try, as a logarithm: farther while little is known.
    pub(super) fn dither(&self) -> f64 {
        (0.5 * self.variance.sqrt()).clamp(0.12, 0.25)
    }

    /// Of a place where nothing was measured: `mean` is no more than a beginning.
    pub(super) fn unknown(mean: f64) -> Self {
        Self { mean, ..Self::default() }
    }

    /// As steep as it gets: below, nothing was done at all.
    pub(super) fn steep() -> Self {
        Self { mean: 1.2, variance: 0.03, ..Self::default() }
    }

    pub(super) const fn doubt(&mut self) {
        self.variance = self.variance.max(Self::DOUBTFUL);
    }

    pub(super) fn certainly_above(&self, bound: f64) -> bool {
        self.mean - 1.5 * self.variance.sqrt() > bound
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
        1.5 * off * off * off / (off * off + self.variance)
    }

    fn bend(&self) -> f64 {
        -0.5 * (1.0 - self.mean * self.mean).max(0.0)
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
        self.variance += if apart.abs() < Self::APART { Self::DRIFT / 3.0 } else { Self::DRIFT };
        let strange = surprise * surprise / (scatter + self.variance * apart * apart);
        self.noise = (self.noise * (15.0 + strange.min(Self::STRANGE)) / 16.0).clamp(1.0, 25.0);
        if strange > Self::STRANGE {
            if !self.doubted && apart.abs() < Self::FAR {
                self.doubted = true;
                self.doubt();
                return false;
            }
            self.variance = self.variance.max(1.0);
        }
        self.doubted = false;
        if apart.abs() >= Self::APART {
            self.correct(surprise / apart, scatter / (apart * apart), apart.abs() < Self::FAR);
        }
        true
    }

    /// Where each window is compared with the one before and the one after it, it counts twice: so half as much each time.
    fn correct(&mut self, off: f64, uncertain: f64, alternating: bool) {
        let uncertain = if alternating { 2.0 * uncertain } else { uncertain };
        let gain = self.variance / (self.variance + uncertain);
        self.mean = (self.mean + gain * off).clamp(-2.0, 1.2);
        self.variance *= 1.0 - gain;
    }
}
