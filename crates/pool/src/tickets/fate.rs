/// What became of a retry ticket.
///
/// ```
/// use forebay_pool::tickets::TicketFate;
/// let names = TicketFate::ALL.map(TicketFate::name);
/// assert_eq!(names, ["issued", "honoured", "early", "late", "replayed", "crowded", "forged"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TicketFate {
    /// It went out with a refusal.
    Issued,
    /// It was presented in its slot, and its request goes one class higher.
    Honoured,
    /// It was presented before its slot.
    Early,
    /// It was presented after its slot.
    Late,
    /// It had been used.
    Replayed,
    /// More were used in its slot than are remembered.
    Crowded,
    /// It is not of ours, or not this principal's, route's or class's.
    Forged,
}

impl TicketFate {
    /// Every fate.
    pub const ALL: [Self; 7] =
        [Self::Issued, Self::Honoured, Self::Early, Self::Late, Self::Replayed, Self::Crowded, Self::Forged];

    /// The fate's name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Honoured => "honoured",
            Self::Early => "early",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Crowded => "crowded",
            Self::Forged => "forged",
        }
    }
}
