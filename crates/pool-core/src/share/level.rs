//! Max-min fairness in whole connections: everybody gets the same, but for whoever needs less.

/// One of those among whom the room is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) has: u32,
    pub(super) floor: u32,
    pub(super) wants: u32,
    pub(super) most: u32,
}

/// What each should have of what all want. Floors come first; when even these do not fit, they are divided.
pub(super) fn wanted(room: u32, parts: &[Part]) -> Vec<u32> {
    let floors: u64 = parts.iter().map(|part| u64::from(part.floor)).sum();
    if floors > u64::from(room) {
        return fill(room, parts.iter().map(|part| (0, part.floor)));
    }
    fill(room, parts.iter().map(|part| (part.floor, part.wants.max(part.floor))))
}

/// The same with what nobody wants divided too.
pub(super) fn all(room: u32, parts: &[Part], wanted: &[u32]) -> Vec<u32> {
    fill(room, parts.iter().zip(wanted).map(|(part, wanted)| (*wanted, part.most.max(*wanted))))
}

/// What each may have before anybody has given anything back.
pub(super) fn of_slack(room: u32, parts: &[Part], wanted: &[u32]) -> Vec<u32> {
    fill(room, parts.iter().zip(wanted).map(|(part, wanted)| (part.has, part.has.max(*wanted))))
}

/// Raises all from their least to one level, or to their most; what is left of a whole step goes to the first. Their least is
/// not reduced, also when it does not fit.
fn fill(room: u32, bounds: impl Iterator<Item = (u32, u32)> + Clone) -> Vec<u32> {
    let sum = |level: u32| bounds.clone().map(|(least, most)| u64::from(level.clamp(least, most))).sum::<u64>();
    let (mut fits, mut above) = (0, bounds.clone().map(|(_, most)| most).max().unwrap_or(0).saturating_add(1));
    while above - fits > 1 {
        let middle = fits + (above - fits) / 2;
        if sum(middle) <= u64::from(room) {
            fits = middle;
        } else {
            above = middle;
        }
    }
    let mut left = u64::from(room).saturating_sub(sum(fits));
    let raise = |(least, most): (u32, u32)| {
        let more = left > 0 && least <= fits && fits < most;
        left -= u64::from(more);
        fits.clamp(least, most) + u32::from(more)
    };
    bounds.clone().map(raise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(has: u32, floor: u32, wants: u32, most: u32) -> Part {
        Part { has, floor, wants, most }
    }

    #[test]
    fn who_wants_little_gets_it_and_the_others_the_same() {
        let parts = [part(0, 1, 2, 50), part(0, 1, 40, 50), part(0, 1, 40, 50)];
        let wanted = wanted(23, &parts);
        assert_eq!(wanted, [2, 11, 10], "what cannot be divided goes to the first");
        assert_eq!(all(23, &parts, &wanted), wanted);
    }

    #[test]
    fn what_nobody_wants_is_divided_too() {
        let parts = [part(0, 2, 2, 16), part(0, 2, 2, 8), part(0, 2, 30, 40)];
        let wanted = wanted(50, &parts);
        assert_eq!(wanted, [2, 2, 30]);
        assert_eq!(all(50, &parts, &wanted), [12, 8, 30]);
    }

    #[test]
    fn floors_that_do_not_fit_are_divided() {
        assert_eq!(wanted(10, &[part(0, 8, 8, 8), part(0, 8, 8, 8), part(0, 1, 1, 9)]), [5, 4, 1]);
        assert_eq!(wanted(0, &[part(0, 8, 8, 8)]), [0]);
        assert_eq!(fill(7, [].into_iter()), [] as [u32; 0]);
    }

    #[test]
    fn slack_goes_first_to_whoever_has_least() {
        let parts = [part(2, 1, 20, 50), part(12, 1, 20, 50), part(30, 1, 5, 50)];
        assert_eq!(of_slack(50, &parts, &wanted(50, &parts)), [8, 12, 30]);
    }
}
