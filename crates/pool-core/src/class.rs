use std::time::Duration;

/// How important a request is: who may use the reserve, who is served first, and how long each may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// Work that must not be lost to other traffic: paying for and completing an order. May use the reserve, and may wait
    /// four times as long as normal work.
    Critical,
    /// What other work depends on: a login, one product. May wait twice as long as normal work.
    High,
    /// Everything else.
    Normal,
    /// What can be done without: searches, histories. May wait half as long as normal work.
    Low,
    /// What nobody looks at while it runs: workers, exports. May wait as long as normal work, and has at most a fifth of the
    /// limit, one place at least.
    Background,
}

impl Class {
    /// Every class, most important first.
    ///
    /// ```
    /// use forebay_pool_core::Class;
    /// assert_eq!(Class::ALL[0], Class::Critical);
    /// ```
    pub const ALL: &'static [Self] = &[Self::Critical, Self::High, Self::Normal, Self::Low, Self::Background];

    /// The class's name in metrics, logs and problem bodies.
    ///
    /// ```
    /// assert_eq!(forebay_pool_core::Class::Critical.name(), "critical");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Background => "background",
        }
    }

    /// Its place in [`Class::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// How long this class may wait where normal work may wait for `base`.
    pub(crate) fn patience(self, base: Duration) -> Duration {
        match self {
            Self::Critical => base * 4,
            Self::High => base * 2,
            Self::Normal | Self::Background => base,
            Self::Low => base / 2,
        }
    }
}

/// The order of service. Work that has begun goes first, whatever its class: refusing it would break the promise that
/// a refused request has executed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Continuation,
    Critical,
    High,
    Normal,
    Low,
    Background,
}

impl Rank {
    pub(crate) const COUNT: usize = 6;
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Continuation, Self::Critical, Self::High, Self::Normal, Self::Low, Self::Background];

    pub(crate) const fn of(class: Class, continuation: bool) -> Self {
        match (continuation, class) {
            (true, _) => Self::Continuation,
            (false, Class::Critical) => Self::Critical,
            (false, Class::High) => Self::High,
            (false, Class::Normal) => Self::Normal,
            (false, Class::Low) => Self::Low,
            (false, Class::Background) => Self::Background,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether this rank may use the reserve that lies on top of the limit.
    pub(crate) const fn uses_reserve(self) -> bool {
        matches!(self, Self::Continuation | Self::Critical)
    }
}
