//! What one look at the server's sessions says: who has published what, and how many there are.

use std::collections::BTreeMap;

use forebay_pool::share::{Published, Sighting, View};
use sqlx::PgConnection;

use crate::budget::{CLAIM, Fleet, OPERATORS, OURS, STARTING, ServerLimits};

/// By which a process's sessions are known to be its own: a number, in ten digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    process: &'static str,
    number: u64,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(super) view: View,
    /// The same without this process, in the arithmetic that is shown to people.
    pub(super) fleet: Fleet,
    /// Whether there is no session of ours but this process's.
    pub(super) is_alone: bool,
}

/// Claims of processes that do not share are members too, with numbers above all identities.
const FIXED: u64 = 1 << 40;
/// No server has so many connections.
const MANY: u32 = 999_999;

impl Identity {
    pub(super) fn new(process: &'static str) -> Self {
        Self { process, number: rand::random::<u64>() % FIXED }
    }

    pub(crate) const fn process(&self) -> &'static str {
        self.process
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The name of another session of its, such as `forebay-payments/00c0ffee00`.
    pub(crate) fn named(&self, what: &str) -> String {
        format!("{OURS}{what}/{:010x}", self.number)
    }

    /// The `application_name` by which others see it, such as `forebay-claim/checkout:00c0ffee00:5:8:14/14`: the least, what is
    /// wanted, the most, and what is held.
    pub(super) fn claim(&self, published: Published) -> String {
        let Published { holds, wants, floor, most } = published;
        let [holds, wants, floor, most] = [holds, wants, floor, most].map(|number| number.min(MANY));
        format!("{CLAIM}{}:{:010x}:{floor}:{wants}:{most}/{holds}", self.process, self.number)
    }

    /// How many sessions its pool has.
    pub(super) async fn count(&self, connection: &mut PgConnection) -> sqlx::Result<u32> {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, $1)";
        let count: i64 = sqlx::query_scalar(count).bind(self.named(self.process)).fetch_one(connection).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// What a claim's name says: whose it is, by name and number, and what was published.
fn claimed(name: &str) -> Option<(&str, Option<u64>, Published)> {
    let (who, holds) = name.strip_prefix(CLAIM)?.split_once('/')?;
    let holds = holds.parse().ok()?;
    let mut parts = who.split(':');
    let process = parts.next()?;
    let Some(number) = parts.next() else {
        return Some((process, None, Published { holds, wants: holds, floor: holds, most: holds }));
    };
    let number = u64::from_str_radix(number, 16).ok()?;
    let mut next = || parts.next()?.parse().ok();
    let (floor, wants, most) = (next()?, next()?, next()?);
    Some((process, Some(number), Published { holds, wants, floor, most }))
}

/// The number in `forebay-catalog/00c0ffee00 control`.
fn numbered(name: &str) -> Option<u64> {
    let number = name.strip_prefix(OURS)?.split_once('/')?.1;
    u64::from_str_radix(number.get(..10)?, 16).ok()
}

impl Reading {
    /// Asks the server, in one statement, over the session that publishes.
    pub(super) async fn read(connection: &mut PgConnection, own: &Identity, beside: u32) -> sqlx::Result<Self> {
        // Everybody may see names and numbers. What kind of session it is only its own role may: without that, it counts.
        let sessions: Vec<(String, i64, i32, i32)> = sqlx::query_as(
            "SELECT coalesce(application_name, ''), count(*), current_setting('max_connections')::int, \
             current_setting('superuser_reserved_connections')::int \
             + coalesce(current_setting('reserved_connections', true), '0')::int FROM pg_stat_activity \
             WHERE datid IS NOT NULL AND usesysid IS NOT NULL \
             AND coalesce(backend_type, 'client backend') = 'client backend' GROUP BY 1",
        )
        .fetch_all(connection)
        .await?;
        let number = |setting: i32| u32::try_from(setting).unwrap_or_default();
        let limits = sessions.first().map_or(ServerLimits { max_connections: 0, reserved: 0 }, |first| ServerLimits {
            max_connections: number(first.2),
            reserved: number(first.3),
        });
        let sessions = sessions.iter().map(|row| (row.0.as_str(), u32::try_from(row.1).unwrap_or(0)));
        Ok(Self::of(limits, own, beside, sessions))
    }

    fn of<'a>(
        limits: ServerLimits,
        own: &Identity,
        beside: u32,
        sessions: impl Iterator<Item = (&'a str, u32)> + Clone,
    ) -> Self {
        let mut members: BTreeMap<u64, Sighting> = BTreeMap::new();
        let (mut others, mut unnumbered, mut fixed, mut is_alone) = (0_u32, 0_u32, 0_u32, true);
        let mut pool = 0;
        let mut besides_own = Vec::new();
        for (name, count) in sessions {
            let claim = claimed(name);
            let whose = match claim {
                Some((_, number, _)) => number,
                None if name.starts_with(CLAIM) => None,
                None => numbered(name),
            };
            if whose != Some(own.number) {
                besides_own.push((name, u64::from(count)));
                is_alone &= !name.starts_with(OURS) || name == STARTING;
            } else if claim.is_none() && name.starts_with(&own.named(own.process)) {
                pool += count;
            }
            let published = claim.map(|(_, _, published)| published);
            match (published, whose) {
                (Some(published), None) => {
                    // Each of them is one that never moves.
                    for _ in 0..count {
                        let sighting = Sighting { published: Some(published), sessions: 1 };
                        members.insert(FIXED + u64::from(fixed), sighting);
                        fixed += 1;
                    }
                    unnumbered += count;
                }
                (published, Some(whose)) => {
                    let seen = members.entry(whose).or_default();
                    seen.sessions += count;
                    if let Some(published) = published {
                        let holds = seen.published.map_or(0, |older| older.holds).max(published.holds);
                        seen.published = Some(Published { holds, ..published });
                    }
                }
                (None, None) if name == STARTING => {}
                (None, None) if name.starts_with(OURS) && !name.starts_with(CLAIM) => unnumbered += count,
                (None, None) => others += count,
            }
        }
        if let Some(me) = members.get_mut(&own.number) {
            me.sessions = pool + beside;
        }
        let held: u32 = members.range(FIXED..).filter_map(|(_, seen)| seen.published).map(|fixed| fixed.holds).sum();
        let ServerLimits { max_connections, reserved } = limits;
        let apart = u64::from(others).max(OPERATORS) + u64::from(reserved) + u64::from(unnumbered.saturating_sub(held));
        let room = u32::try_from(u64::from(max_connections).saturating_sub(apart)).unwrap_or(0);
        let fleet = Fleet::of(limits, 0, besides_own);
        Self { view: View { room, members }, fleet, is_alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Identity = Identity { process: "catalog", number: 0xc0_ffee };
    const HUNDRED: ServerLimits = ServerLimits { max_connections: 100, reserved: 5 };

    fn read(sessions: &[(&str, u32)]) -> Reading {
        Reading::of(HUNDRED, &OWN, 1, sessions.iter().copied())
    }

    #[test]
    fn what_is_published_is_read_back_and_fits_into_a_name() {
        let published = Published { holds: 14, wants: 8, floor: 5, most: 15 };
        let claim = OWN.claim(published);
        assert_eq!(claim, "forebay-claim/catalog:0000c0ffee:5:8:15/14");
        assert_eq!(claimed(&claim), Some(("catalog", Some(OWN.number), published)));
        let own = Identity { process: "checkout", number: FIXED - 1 };
        let most = Published { holds: u32::MAX, wants: u32::MAX, floor: u32::MAX, most: u32::MAX };
        assert!(own.claim(most).len() <= 63, "{}", own.claim(most));
        assert_eq!(numbered(&format!("{} control", own.named("checkout"))), Some(own.number));
    }

    #[test]
    fn names_that_are_no_claim_are_somebody_elses_sessions() {
        for name in
            ["forebay-claim/", "forebay-claim/x:zz:1:1:1/1", "forebay-claim/x:1:1/1", "forebay-claim/x/-1", "psql", ""]
        {
            assert_eq!(claimed(name), None, "{name}");
        }
        let reading = read(&[("forebay-claim/x:zz:1:1:1/1", 4), ("forebay-catalog/é", 0)]);
        assert_eq!((reading.view.room, reading.view.members.len()), (91, 0));
    }

    #[test]
    fn sessions_are_put_down_to_their_process_and_the_rest_is_taken_off_the_room() {
        let reading = read(&[
            ("forebay-claim/catalog:0000c0ffee:5:8:15/14", 1),
            ("forebay-catalog/0000c0ffee", 6),
            ("forebay-catalog/0000c0ffee control", 1),
            ("forebay-claim/auth:0000000007:3:3:9/9", 1),
            ("forebay-claim/auth:0000000007:3:3:9/4", 1),
            ("forebay-auth/0000000007", 2),
            ("forebay-checkout/0000000008", 5),
            ("forebay-claim/checkout/14", 2),
            ("forebay-checkout", 30),
            ("forebay-start", 3),
            ("pgbench", 10),
        ]);
        let View { room, members } = &reading.view;
        assert_eq!(*room, 100 - 5 - 10 - 4, "four of the last are more than is claimed for them");
        let sessions: Vec<u32> = members.values().map(|seen| seen.sessions).collect();
        assert_eq!(sessions, [4, 5, 8, 1, 1]);
        assert_eq!(members[&7].published.map(|published| published.holds), Some(9), "an older session may linger");
        assert_eq!(members[&8].published, None);
        assert!(!reading.is_alone);
        assert!(read(&[("forebay-start", 1), ("psql", 1), ("forebay-catalog/0000c0ffee", 1)]).is_alone);
    }
}
