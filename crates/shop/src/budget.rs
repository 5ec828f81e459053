//! How many connections a server has, and who has claimed how many of them. Arithmetic only; `claim` asks and publishes.

use std::{collections::BTreeMap, fmt};

use sqlx::PgConnection;

/// Left for an operator's psql, a migration, an exporter; more where more are seen.
pub(crate) const OPERATORS: u64 = 3;
/// How the `application_name` of every session of ours begins.
pub(crate) const OURS: &str = "forebay-";
/// How that of a claim begins; process and number follow.
pub(crate) const CLAIM: &str = "forebay-claim/";
/// That of a session whose process has not claimed yet: it is refused soon, or part of its claim.
pub(crate) const STARTING: &str = "forebay-start";

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`, and from Postgres 16 on `reserved_connections`.
    pub reserved: u32,
}

/// What one process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What it is called: `shop`, or one of its services.
    pub process: &'static str,
    /// The most that its pool may open; none behind a bouncer, which opens and bounds them by itself.
    pub ceiling: u32,
    /// What it opens beside the pool: the readiness probe, and the payment simulator's book.
    pub beside: u32,
}

impl Share {
    /// Pool and all.
    pub const fn total(&self) -> u64 {
        self.ceiling as u64 + self.beside as u64
    }

    /// The `application_name` by which others see it, such as `forebay-claim/checkout/14`.
    pub fn claim(&self) -> String {
        format!("{CLAIM}{}/{}", self.process, self.total())
    }
}

/// All sessions of a server but one, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    limits: ServerLimits,
    /// How many processes have claimed so much, by name and claim.
    claims: BTreeMap<(String, u32), u64>,
    /// The same by the least that each is left.
    floors: BTreeMap<(String, u32), u64>,
    /// Sessions of ours beyond what is claimed.
    uncovered: u64,
    /// Sessions of anybody else.
    others: u64,
}

impl Fleet {
    /// Asks the server, over the session that does not count; `own` is what its process has claimed before.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn read(connection: &mut PgConnection, own: u64) -> sqlx::Result<Self> {
        let limits = ServerLimits::read(connection).await?;
        // Everybody may see names and numbers. What kind of session it is only its own role may: without that, it counts.
        let sessions: Vec<(String, i64)> = sqlx::query_as(
            "SELECT coalesce(application_name, ''), count(*) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND datid IS NOT NULL AND usesysid IS NOT NULL \
             AND coalesce(backend_type, 'client backend') = 'client backend' GROUP BY 1",
        )
        .fetch_all(connection)
        .await?;
        let sessions = sessions.iter().map(|(name, count)| (name.as_str(), u64::try_from(*count).unwrap_or(0)));
        Ok(Self::of(limits, own, sessions))
    }

    /// Sorts sessions, given by `application_name` and count. Those that `own` covers are not without a claim.
    pub(crate) fn of<'a>(limits: ServerLimits, own: u64, sessions: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut fleet = Self { limits, claims: BTreeMap::new(), floors: BTreeMap::new(), uncovered: 0, others: 0 };
        let mut ours = 0;
        for (name, count) in sessions {
            if let Some((process, total, floor)) = claimed(name) {
                ours += count;
                *fleet.claims.entry((process.clone(), total)).or_default() += count;
                *fleet.floors.entry((process, floor)).or_default() += count;
            } else if name.starts_with(OURS) && !name.starts_with(CLAIM) {
                ours += if name == STARTING { 0 } else { count };
            } else {
                fleet.others += count;
            }
        }
        fleet.uncovered = ours.saturating_sub(fleet.claimed() + own);
        fleet
    }

    /// When all that share have given back what they can.
    pub(crate) fn of_floors(self) -> Self {
        Self { claims: self.floors.clone(), ..self }
    }

    fn claimed(&self) -> u64 {
        self.claims.iter().map(|((_, claim), count)| u64::from(*claim) * count).sum()
    }

    /// What the shop's processes may open together.
    fn room(&self) -> u64 {
        let ServerLimits { max_connections, reserved } = self.limits;
        u64::from(max_connections).saturating_sub(u64::from(reserved) + self.others.max(OPERATORS))
    }

    /// What nobody has claimed.
    fn left(&self) -> u64 {
        self.room().saturating_sub(self.claimed() + self.uncovered)
    }

    /// Refuses a share that is more than what is left.
    ///
    /// # Errors
    ///
    /// [`DoesNotFit`] shows the arithmetic.
    pub fn fits(self, share: Share) -> Result<(), DoesNotFit> {
        if share.total() <= self.left() { Ok(()) } else { Err(DoesNotFit { fleet: self, share, asks: Asks::Start }) }
    }
}

/// Who claims, how much, and how little it may be left: of one that does not share the same.
fn claimed(application_name: &str) -> Option<(String, u32, u32)> {
    let (who, total) = application_name.strip_prefix(CLAIM)?.split_once('/')?;
    let total = total.parse().ok()?;
    let mut parts = who.split(':');
    let process = parts.next()?.to_owned();
    let floor = parts.nth(1).and_then(|floor| floor.parse().ok()).unwrap_or(total);
    Some((process, total, floor))
}

impl ServerLimits {
    async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let (max_connections, reserved): (i32, i32) = sqlx::query_as(
            "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int \
             + coalesce(current_setting('reserved_connections', true), '0')::int",
        )
        .fetch_one(connection)
        .await?;
        let number = |setting: i32| u32::try_from(setting).unwrap_or_default();
        Ok(Self { max_connections: number(max_connections), reserved: number(reserved) })
    }
}

/// Why a process does not start with this pool on this server. Shows who has claimed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoesNotFit {
    fleet: Fleet,
    share: Share,
    asks: Asks,
}

/// What for a process asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// All that its pool may ever have.
    Start,
    /// The least that its pool is left.
    Share,
    /// A larger pool, while it serves.
    Growth,
}

impl std::error::Error for DoesNotFit {}

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fleet, share: Share { process, ceiling, beside }, asks } = self;
        let setting = match asks {
            Asks::Start => "FOREBAY_POOL_MAX=",
            Asks::Share => "FOREBAY_POOL_FLOOR=",
            Asks::Growth => "max ",
        };
        let ServerLimits { max_connections, reserved } = fleet.limits;
        let (apart, whose) =
            (fleet.others.max(OPERATORS), if fleet.others > OPERATORS { "of others" } else { "for operators" });
        writeln!(f, "the connections of this process do not fit into the server:")?;
        writeln!(
            f,
            "  max_connections {max_connections} - {reserved} reserved - {apart} {whose} = {} for the shop",
            fleet.room()
        )?;
        for ((name, claim), count) in &fleet.claims {
            writeln!(f, "  claimed: {name} {count} x {claim} = {}", count * u64::from(*claim))?;
        }
        if fleet.uncovered > 0 {
            writeln!(f, "  open without a claim: {}", fleet.uncovered)?;
        }
        writeln!(f, "  left: {}", fleet.left())?;
        match ceiling {
            0 => writeln!(f, "  needed: {process}, {beside} beside the pool, which is the bouncer's")?,
            _ => writeln!(
                f,
                "  needed: {process}, {setting}{ceiling} + {beside} beside the pool = {}",
                self.share.total()
            )?,
        }
        f.write_str(&self.advice())
    }
}

impl DoesNotFit {
    /// The same, to somebody who asked a process that serves for a larger pool.
    #[must_use]
    pub fn while_serving(self) -> Self {
        Self { asks: Asks::Growth, ..self }
    }

    /// The same, to somebody who asked for the least that it needs.
    #[must_use]
    pub fn at_least(self) -> Self {
        Self { asks: Asks::Share, ..self }
    }

    /// A pool has at least two connections.
    fn advice(&self) -> String {
        let pool = self.fleet.left().saturating_sub(self.share.beside.into());
        let smaller = match pool {
            _ if self.share.ceiling == 0 => "give the bouncer fewer, ".to_owned(),
            0 | 1 => String::new(),
            _ => match self.asks {
                Asks::Start => format!("set FOREBAY_POOL_MAX={pool} or less here, "),
                Asks::Share => format!("set FOREBAY_POOL_FLOOR={pool} or less here, "),
                Asks::Growth => format!("ask for a max of {pool} or less, "),
            },
        };
        let fewer = if self.fleet.claims.is_empty() { "" } else { "run fewer processes or give them smaller pools, " };
        let advice = format!("{smaller}{fewer}or raise max_connections");
        let advice = advice.strip_prefix("or ").unwrap_or(&advice);
        format!("{}{}", advice[..1].to_uppercase(), &advice[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUNDRED: ServerLimits = ServerLimits { max_connections: 100, reserved: 5 };

    fn share(process: &'static str, ceiling: u32, beside: u32) -> Share {
        Share { process, ceiling, beside }
    }

    #[test]
    fn the_usual_services_fit_with_three_of_checkout_and_one_in_passing() {
        let sessions = [
            ("forebay-claim/catalog/17", 1),
            ("forebay-claim/auth/9", 1),
            ("forebay-claim/checkout/14", 3),
            ("forebay-catalog", 16),
            ("forebay-payments", 3),
            ("forebay-start", 4),
            ("psql", 1),
        ];
        let fleet = Fleet::of(HUNDRED, 0, sessions);
        assert_eq!((fleet.room(), fleet.claimed(), fleet.left()), (92, 68, 24));
        assert_eq!(fleet.clone().fits(share("catalog", 16, 1)), Ok(()));
        let said = fleet.fits(share("checkout", 23, 2)).unwrap_err().to_string();
        for line in [
            "max_connections 100 - 5 reserved - 3 for operators = 92 for the shop\n",
            "claimed: auth 1 x 9 = 9\n",
            "claimed: checkout 3 x 14 = 42\n",
            "left: 24\n",
            "needed: checkout, FOREBAY_POOL_MAX=23 + 2 beside the pool = 25\n",
            "Set FOREBAY_POOL_MAX=22 or less here, run fewer processes or give them smaller pools, or raise max_connections",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }

    #[test]
    fn a_shop_that_is_alone_is_told_what_would_fit() {
        let alone = Fleet::of(ServerLimits { max_connections: 100, reserved: 3 }, 0, []);
        assert_eq!(alone.clone().fits(share("shop", 92, 2)), Ok(()));
        let said = alone.fits(share("shop", 93, 2)).unwrap_err().to_string();
        assert!(said.ends_with("Set FOREBAY_POOL_MAX=92 or less here, or raise max_connections"), "{said}");
        let tiny = Fleet::of(ServerLimits { max_connections: 9, reserved: 3 }, 0, []);
        let said = tiny.fits(share("shop", 2, 2)).unwrap_err().to_string();
        assert!(said.ends_with("\nRaise max_connections"), "{said}");
    }

    #[test]
    fn behind_a_bouncer_only_what_is_beside_the_pool_has_to_fit() {
        let leftovers = |count| Fleet::of(HUNDRED, 0, [("forebay-shop", count)]);
        assert_eq!(leftovers(90).fits(share("shop", 0, 2)), Ok(()));
        assert_eq!(share("shop", 0, 2).claim(), "forebay-claim/shop/2");
        let said = leftovers(91).fits(share("shop", 0, 2)).unwrap_err().to_string();
        assert!(said.contains("needed: shop, 2 beside the pool, which is the bouncer's\n"), "{said}");
        assert!(said.ends_with("\nGive the bouncer fewer, or raise max_connections"), "{said}");
    }

    #[test]
    fn who_asks_a_pool_that_serves_is_told_what_can_be_done_there() {
        let fleet = Fleet::of(HUNDRED, 11, [("forebay-claim/auth/9", 1)]);
        let said = fleet.fits(share("catalog", 90, 1)).unwrap_err().while_serving().to_string();
        assert!(said.contains("needed: catalog, max 90 + 1 beside the pool = 91"), "{said}");
        assert!(said.contains("\nAsk for a max of 82 or less, run fewer processes"), "{said}");
        assert!(!said.contains("FOREBAY_POOL_MAX"), "{said}");
    }

    #[test]
    fn sessions_of_others_count_where_they_are_more_than_operators() {
        let fleet =
            Fleet::of(HUNDRED, 0, [("pgbench", 20), ("", 2), ("forebay-claim/shop", 1), ("forebay-claim/x/-1", 1)]);
        assert_eq!((fleet.others, fleet.room()), (24, 71));
        let said = fleet.fits(share("shop", 70, 2)).unwrap_err().to_string();
        assert!(said.contains("- 24 of others = 71"), "{said}");
    }

    #[test]
    fn sessions_whose_claim_is_gone_count_by_themselves() {
        let fleet = Fleet::of(HUNDRED, 0, [("forebay-claim/auth/9", 1), ("forebay-auth", 8), ("forebay-checkout", 6)]);
        assert_eq!((fleet.claimed(), fleet.uncovered, fleet.left()), (9, 6, 77));
        let own = Fleet::of(HUNDRED, 6, [("forebay-claim/auth/9", 1), ("forebay-auth", 8), ("forebay-checkout", 6)]);
        assert_eq!((own.uncovered, own.left()), (0, 83), "a process that asks for more has a claim already");
        let said = fleet.fits(share("shop", 80, 2)).unwrap_err().to_string();
        assert!(said.contains("open without a claim: 6\n"), "{said}");
    }

    #[test]
    fn a_claim_is_short_enough_for_a_name_and_is_read_back() {
        let largest = share("checkout", u32::MAX - 2, 2);
        assert_eq!(largest.claim(), "forebay-claim/checkout/4294967295");
        assert!(largest.claim().len() <= 63);
        assert_eq!(claimed(&largest.claim()), Some(("checkout".to_owned(), u32::MAX, u32::MAX)));
        let fleet = Fleet::of(HUNDRED, 0, [(largest.claim().as_str(), 3)]);
        assert_eq!(fleet.left(), 0);
    }
}
