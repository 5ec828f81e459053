/// How important a request is: who may use the reserve, who is served first, and how long each may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// Work that must not be lost to other traffic: paying for and completing an order. May use the reserve.
    Critical,
    /// Everything else.
    Normal,
}

impl Class {
    /// Every class, most important first.
    ///
    /// ```
    /// use forebay_pool_core::Class;
    /// assert_eq!(Class::ALL[0], Class::Critical);
    /// ```
    pub const ALL: &'static [Self] = &[Self::Critical, Self::Normal];

    /// The class's name in metrics, logs and problem bodies.
    ///
    /// ```
    /// assert_eq!(forebay_pool_core::Class::Critical.name(), "critical");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
        }
    }

    /// Its place in [`Class::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::Normal => 1,
        }
    }

    /// How many times the base wait budget this class may wait.
    pub(crate) const fn patience(self) -> u32 {
        match self {
            Self::Critical => 4,
            Self::Normal => 1,
        }
    }
}

/// The order of service. Work that has begun goes first, whatever its class: refusing it would break the promise that
/// a refused request has executed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Continuation,
    Critical,
    Normal,
}

impl Rank {
    pub(crate) const ALL: [Self; 3] = [Self::Continuation, Self::Critical, Self::Normal];

    pub(crate) const fn of(class: Class, continuation: bool) -> Self {
        match (continuation, class) {
            (true, _) => Self::Continuation,
            (false, Class::Critical) => Self::Critical,
            (false, Class::Normal) => Self::Normal,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Whether this rank may use the reserve that lies on top of the limit.
    pub(crate) const fn uses_reserve(self) -> bool {
        !matches!(self, Self::Normal)
    }
}
