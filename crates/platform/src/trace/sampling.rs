use std::sync::OnceLock;

use crate::config::Reader;

/// Which traces are recorded. The decision travels with the trace, in `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whether what the sender decided holds.
    heeds_sender: bool,
    /// Of the others, how many.
    share: f64,
}

static OF_PROCESS: OnceLock<Sampling> = OnceLock::new();

impl Sampling {
    /// Where nobody records: what a sender decided is passed on, and no other trace is to be recorded.
    pub(crate) const UNRECORDED: Self = Self { heeds_sender: true, share: 0.0 };

    /// Reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";
        let words = [
            ("parentbased_always_on", (true, Some(1.0))),
            ("parentbased_always_off", (true, Some(0.0))),
            ("parentbased_traceidratio", (true, None)),
            ("always_on", (false, Some(1.0))),
            ("always_off", (false, Some(0.0))),
            ("traceidratio", (false, None)),
        ];
        let (heeds_sender, fixed) = settings.word_or("OTEL_TRACES_SAMPLER", &words, (true, Some(1.0)));
        let share: f64 = settings.or(SHARE, 1.0);
        settings.require((0.0..=1.0).contains(&share), SHARE, "must be a share from 0 to 1", 0.1);
        Self { heeds_sender, share: fixed.unwrap_or(share) }
    }

    /// What all of this process do from now on. The first call counts.
    #[cfg(feature = "otlp")]
    pub(crate) fn install(self) {
        // A later one is a second start in the same process, such as a test's.
        _ = OF_PROCESS.set(self);
    }

    pub(super) fn of_process() -> Self {
        OF_PROCESS.get().copied().unwrap_or(Self::UNRECORDED)
    }

    /// By the id, so that all who are asked with the same share say the same.
    pub(super) fn takes(self, id: u128, sent: Option<bool>) -> bool {
        match sent {
            Some(sampled) if self.heeds_sender => sampled,
            // The lower bits are random, whoever made the id (W3C Trace Context, level 2).
            _ => {
                const EXACT: u64 = 1 << 53;
                #[expect(clippy::cast_possible_truncation, reason = "the lower bits are meant")]
                let drawn = id as u64 % EXACT;
                #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
                let drawn = drawn as f64 / EXACT as f64;
                drawn < self.share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    fn read(settings: &[(&str, &str)]) -> Result<Sampling, String> {
        let env = Env::of(settings.iter().copied());
        let mut reader = env.reader();
        let sampling = Sampling::read(&mut reader);
        reader.finish().map(|()| sampling).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_sampler_or_share_that_is_none_is_a_fault() {
        let faults = read(&[("OTEL_TRACES_SAMPLER", "jaeger_remote"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")]).unwrap_err();
        assert!(faults.contains("OTEL_TRACES_SAMPLER=jaeger_remote") && faults.contains("from 0 to 1"), "{faults}");
        assert!(read(&[("OTEL_TRACES_SAMPLER_ARG", "NaN")]).is_err());
    }

    #[test]
    fn a_sender_is_heeded_where_the_sampler_says_so() {
        let half =
            read(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")]).unwrap();
        let (low, high) = (1, u128::MAX);
        assert!(half.takes(low, None) && !half.takes(high, None));
        assert!(!half.takes(low, Some(false)) && half.takes(high, Some(true)));
        let off = read(&[("OTEL_TRACES_SAMPLER", "always_off")]).unwrap();
        assert!(!off.takes(low, Some(true)));
        assert!(read(&[]).unwrap().takes(high, None) && !Sampling::UNRECORDED.takes(low, None));
        assert!(Sampling::UNRECORDED.takes(low, Some(true)));
    }
}
