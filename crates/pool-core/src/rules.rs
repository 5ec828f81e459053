use std::time::Duration;

/// Whether the admission rule refuses, only counts what it would refuse, or is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Never refuse by prediction; callers wait until their deadline.
    Off,
    /// Count what would be refused, refuse nothing.
    ReportOnly,
    /// Refuse.
    #[default]
    Enforce,
}

/// Whether the limit follows the [`crate::Sizer`]. What a person sets by [`crate::Ledger::resize`] wins in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sizing {
    /// The limit stays at `initial_limit`; the sizer is not asked.
    Fixed,
    /// The limit stays, and what the sizer would make of it is told in the snapshot. A sizer that learns by trying, as
    /// [`crate::Knee`] does, learns nothing this way: its recommendation is what the traffic needs.
    Shadow,
    /// The limit follows the sizer.
    #[default]
    Adaptive,
}

/// The ledger's fixed rules. Every queue has a capacity and every wait a deadline, and both are named here.
///
/// ```
/// let rules = forebay_pool_core::Rules { ceiling: 20, ..Default::default() };
/// assert_eq!(rules.faults(), Vec::<String>::new());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Connections kept open without traffic. Default 2.
    pub min_idle: u32,
    /// The limit at the start: leases out at once, below the reserve. Less traffic does not take it below this; the
    /// shipped sizer goes below only where the database is better off. Default 10.
    pub initial_limit: u32,
    /// The most connections that may exist, whatever they are doing. Default 60.
    pub ceiling: u32,
    /// Callers that may wait at once, over all classes. Default 1024.
    pub queue_capacity: u32,
    /// Whether the limit follows the sizer. Default [`Sizing::Adaptive`].
    pub sizing: Sizing,
    /// Whether admission refuses. Default [`Mode::Enforce`].
    pub mode: Mode,
    /// The base wait budget while no queue stands: a burst may wait this long, and each class its multiple of it
    /// ([`crate::Class`]). After a queue that stood it is earned back while nobody waits, all of it in 100 ms. Default 50 ms.
    pub burst_wait: Duration,
    /// Connections opened at once. Default 2.
    pub openings_at_once: u32,
    /// How long one opening may take. While nothing is alive it is at most 1 s. Default 3 s.
    pub open_timeout: Duration,
    /// A connection unused for longer is closed, from the cold end, down to `min_idle` or to what was needed at once during
    /// half of the last five such times, whichever is more: a spike is forgotten, a plateau kept. Default 60 s.
    pub idle_timeout: Duration,
    /// A connection is replaced after between 80 and 100 % of this, drawn when it is born; `None` lets it grow old.
    /// Default 30 min.
    pub lifetime: Option<Duration>,
    /// A connection unused for longer is checked before it is leased. Default 1 s.
    pub check_after_idle: Duration,
    /// How long such a check may take; less where whoever waits for it has less time. Default 250 ms.
    pub check_timeout: Duration,
    /// A lease that runs no statement for this long is a suspect: its place is given to others. Default 1 s.
    pub suspect_after: Duration,
    /// A lease that runs no statement for this long loses its connection; `None` never takes one back. Default 5 s.
    pub revoke_after: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_idle: 2,
            initial_limit: 10,
            ceiling: 60,
            queue_capacity: 1024,
            sizing: Sizing::Adaptive,
            mode: Mode::Enforce,
            burst_wait: Duration::from_millis(50),
            openings_at_once: 2,
            open_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(60),
            lifetime: Some(Duration::from_secs(30 * 60)),
            check_after_idle: Duration::from_secs(1),
            check_timeout: Duration::from_millis(250),
            suspect_after: Duration::from_secs(1),
            revoke_after: Some(Duration::from_secs(5)),
        }
    }
}

impl Rules {
    /// Longer than anybody waits, and short enough to be added to any moment.
    pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// Everything that is wrong with these rules, in words; empty when they can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        must(
            self.ceiling >= 2,
            format!("ceiling is {}, and must be at least 2: one lease and one reserved place", self.ceiling),
        );
        must(self.initial_limit >= 1, "initial_limit is 0, and must be at least 1".to_owned());
        must(
            self.initial_limit <= self.ceiling,
            format!("initial_limit {} is above ceiling {}", self.initial_limit, self.ceiling),
        );
        must(self.min_idle <= self.ceiling, format!("min_idle {} is above ceiling {}", self.min_idle, self.ceiling));
        must(self.queue_capacity >= 1, "queue_capacity is 0, and must be at least 1".to_owned());
        must(self.openings_at_once >= 1, "openings_at_once is 0, and must be at least 1".to_owned());
        let times = [
            ("burst_wait", self.burst_wait),
            ("open_timeout", self.open_timeout),
            ("idle_timeout", self.idle_timeout),
            ("lifetime", self.lifetime.unwrap_or(Self::LONGEST)),
            ("check_after_idle", self.check_after_idle),
            ("check_timeout", self.check_timeout),
            ("suspect_after", self.suspect_after),
            ("revoke_after", self.revoke_after.unwrap_or(Self::LONGEST)),
        ];
        for (name, time) in times {
            must(time <= Self::LONGEST, format!("{name} is {time:?}, and must be a year at most"));
        }
        let positive = [
            ("open_timeout", self.open_timeout),
            ("check_timeout", self.check_timeout),
            ("suspect_after", self.suspect_after),
            ("lifetime", self.lifetime.unwrap_or(Self::LONGEST)),
        ];
        for (name, time) in positive {
            must(!time.is_zero(), format!("{name} is zero, and must be longer"));
        }
        must(
            self.revoke_after.is_none_or(|revoke| revoke >= self.suspect_after),
            format!("revoke_after {:?} is shorter than suspect_after {:?}", self.revoke_after, self.suspect_after),
        );
        faults
    }
}
