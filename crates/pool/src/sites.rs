use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::loan::{Loan, Used};
use crate::{Holder, Sql};

/// What the leases of one call site have done since the pool was made. Those that are out are not in it.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// for site in pool.sites() {
///     let working = site.ran.as_secs_f64() / site.held.as_secs_f64();
///     println!("{}: a statement ran for {:.0} % of the time", site.site, 100.0 * working);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SiteUse {
    /// Where they were taken.
    pub site: &'static Location<'static>,
    /// How many have ended.
    pub leases: u64,
    /// How long they were out, summed.
    pub held: Duration,
    /// For how long of it none of their statements ran, or the server waited for the reader of its rows.
    pub idle: Duration,
    /// For how long of it their statements ran. What is left of [`Self::held`] beside this and [`Self::idle`] is the time of
    /// raw connections, of which nothing more is known.
    pub ran: Duration,
    /// How many statements ran, with those that begin and end transactions.
    pub statements: u64,
    /// The longest that one was out.
    pub longest: Duration,
    /// From how many the pool took the connection back, since they ran nothing.
    pub taken_back: u64,
    /// The last of these.
    pub last_taken_back: Option<TakenBack>,
}

/// A lease whose connection the pool took back.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// for site in pool.sites() {
///     if let Some(last) = &site.last_taken_back {
///         println!("{} lost {} leases, the last after {:?} without a statement", site.site, site.taken_back, last.held_idle);
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TakenBack {
    /// When.
    pub at: Instant,
    /// How long it had been out.
    pub held: Duration,
    /// For how long it had run nothing then.
    pub held_idle: Duration,
    /// The statement that it ran last.
    pub runs: Option<Sql>,
}

/// The uses of all call sites.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    by_address: HashMap<usize, SiteUse, BuildHasherDefault<AddressHasher>>,
}

impl Sites {
    /// A program has so many at most, unless it is written by a machine.
    const MOST: usize = 256;

    /// A lease has ended that was out for so long.
    pub(crate) fn ended(&mut self, held: Duration, loan: &Loan) {
        if let Some(site) = self.of(loan.borrower.site) {
            site.count(held, loan.used());
        }
    }

    /// A lease was ended, which had done so much before it was idle for the last time.
    pub(crate) fn taken_back(&mut self, now: Instant, holder: &Holder, used: Used) {
        let Some(site) = self.of(holder.site) else { return };
        let Holder { held, held_idle, .. } = *holder;
        site.count(held, Used { idle: used.idle + held_idle, ..used });
        site.taken_back += 1;
        site.last_taken_back = Some(TakenBack { at: now, held, held_idle, runs: holder.runs.clone() });
    }

    fn of(&mut self, site: &'static Location<'static>) -> Option<&mut SiteUse> {
        let full = self.by_address.len() >= Self::MOST;
        match self.by_address.entry(std::ptr::from_ref(site).addr()) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(entry) => Some(entry.insert(SiteUse::new(site))),
        }
    }

    pub(crate) fn list(&self) -> Vec<SiteUse> {
        let mut sites: Vec<SiteUse> = Vec::with_capacity(self.by_address.len());
        for site in self.by_address.values() {
            // The compiler may have written one place down several times.
            match sites.iter_mut().find(|known| known.site == site.site) {
                Some(known) => known.merge(site),
                None => sites.push(site.clone()),
            }
        }
        sites.sort_by_key(|site| std::cmp::Reverse(site.held));
        sites
    }
}

impl SiteUse {
    const fn new(site: &'static Location<'static>) -> Self {
        let zero = Duration::ZERO;
        Self {
            site,
            leases: 0,
            held: zero,
            idle: zero,
            ran: zero,
            statements: 0,
            longest: zero,
            taken_back: 0,
            last_taken_back: None,
        }
    }

    fn count(&mut self, held: Duration, used: Used) {
        self.leases += 1;
        self.held += held;
        self.idle += used.idle.min(held);
        self.ran += used.ran.min(held);
        self.statements += used.statements;
        self.longest = self.longest.max(held);
    }

    fn merge(&mut self, other: &Self) {
        self.leases += other.leases;
        self.held += other.held;
        self.idle += other.idle;
        self.ran += other.ran;
        self.statements += other.statements;
        self.longest = self.longest.max(other.longest);
        self.taken_back += other.taken_back;
        let last = |one: &Self| one.last_taken_back.as_ref().map(|taken| taken.at);
        if last(other) > last(self) {
            self.last_taken_back.clone_from(&other.last_taken_back);
        }
    }
}

/// Spreads addresses, which nobody chooses: each lease is looked up under the pool's lock.
#[derive(Debug, Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use forebay_pool_core::Class;

    use super::*;

    #[test]
    fn one_place_is_listed_once_wherever_it_is_written_down_and_the_last_loss_is_told() {
        let (mut sites, now) = (Sites::default(), crate::clock::now());
        let one: &'static Location<'static> = Location::caller();
        let same: &'static Location<'static> = Box::leak(Box::new(*one));
        let second = Duration::from_secs(1);
        let holder = |site| Holder { site, class: Class::Normal, held: 3 * second, held_idle: second, runs: None };
        sites.taken_back(now + second, &holder(one), Used { idle: second, ran: second, statements: 2 });
        sites.taken_back(now, &holder(same), Used::default());
        let list = sites.list();
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].leases, list[0].held, list[0].idle), (2, 6 * second, 3 * second));
        assert_eq!((list[0].ran, list[0].statements), (second, 2));
        assert_eq!(list[0].last_taken_back.as_ref().map(|taken| taken.at), Some(now + second));
    }

    #[test]
    fn no_more_are_kept_than_a_program_has() {
        let mut sites = Sites::default();
        for _ in 0..2 * Sites::MOST {
            let site: &'static Location<'static> = Box::leak(Box::new(*Location::caller()));
            sites.of(site);
        }
        assert_eq!(sites.by_address.len(), Sites::MOST);
    }
}
