//! Connections that are of use at one home, and perhaps not at another.

use std::time::{Duration, Instant};

use forebay_pool_core::{
    Acquired, Action, Ask, Breaker, Class, CloseReason, Fixed, Health, Ledger, OpenReason, Return, Rules, SlotId,
};

/// A ledger with one connection open at each of these homes, the first of them used most recently.
fn ledger(homes: &[u32], now: Instant) -> (Ledger, Vec<SlotId>) {
    let min_idle = u32::try_from(homes.len()).expect("a few");
    let rules = Rules { min_idle, initial_limit: 4, ceiling: 8, openings_at_once: 8, ..Rules::default() };
    let mut ledger = Ledger::new(rules, Box::new(Fixed), now);
    ledger.handle_timeout(now);
    let mut slots = Vec::new();
    let mut homes = homes.iter().rev();
    while let Some(action) = ledger.poll_action() {
        let Action::Open(opening) = action else { continue };
        let slot = opening.slot();
        ledger.locate(slot, *homes.next().expect("one for each"));
        ledger.opened(now, opening, 0.5);
        slots.insert(0, slot);
    }
    (ledger, slots)
}

#[expect(clippy::disallowed_methods, reason = "a test needs a first moment")]
fn start() -> Instant {
    Instant::now()
}

fn ask(now: Instant) -> Ask {
    Ask::new(Class::Normal, now + Duration::from_secs(1))
}

fn actions(ledger: &mut Ledger) -> Vec<Action> {
    std::iter::from_fn(|| ledger.poll_action()).collect()
}

#[test]
fn ones_own_connection_is_lent_before_a_warmer_one_of_another_home() {
    let now = start();
    let (mut ledger, slots) = ledger(&[1, 2, 3], now);
    assert_eq!(ledger.acquire(now, ask(now).at(2)), Acquired::Leased(slots[1]));
    assert_eq!(ledger.acquire(now, ask(now)), Acquired::Leased(slots[0]), "who is nowhere in particular takes any");
    assert_eq!(ledger.try_acquire(now, ask(now).at(1)), None, "what is left is of home 3");
}

#[test]
fn a_connection_that_was_opened_nowhere_in_particular_is_lent_anywhere() {
    let now = start();
    let (mut ledger, slots) = ledger(&[0], now);
    assert_eq!(ledger.acquire(now, ask(now).at(7)), Acquired::Leased(slots[0]));
}

#[test]
fn a_connection_of_another_home_is_checked_before_it_is_lent() {
    let now = start();
    for health in [Health::Well, Health::Lost, Health::OutOfReach] {
        let (mut ledger, slots) = ledger(&[1], now);
        let Acquired::Waiting(waiter) = ledger.acquire(now, ask(now).at(2)) else { panic!("it is lent unasked") };
        let asked = actions(&mut ledger);
        assert!(matches!(asked[0], Action::Check { slot, .. } if slot == slots[0]), "{asked:?}");
        ledger.checked(now, slots[0], health);
        let then = actions(&mut ledger);
        let granted = then.iter().any(|action| matches!(action, Action::Grant { waiter: to, .. } if *to == waiter));
        let opens =
            then.iter().any(|action| matches!(action, Action::Open(opening) if opening.reason() == OpenReason::Waiter));
        assert_eq!((granted, opens), (health == Health::Well, health != Health::Well), "{then:?}");
    }
}

#[test]
fn whoever_waits_is_not_handed_a_connection_of_another_home_unasked() {
    let now = start();
    let (mut ledger, slots) = ledger(&[1], now);
    assert_eq!(ledger.acquire(now, ask(now).at(1)), Acquired::Leased(slots[0]));
    assert!(matches!(ledger.acquire(now, ask(now).at(2)), Acquired::Waiting(_)));
    drop(actions(&mut ledger));
    ledger.release(now, slots[0], Return::Clean);
    let then = actions(&mut ledger);
    assert!(then.iter().any(|action| matches!(action, Action::Check { .. })), "{then:?}");
    assert!(!then.iter().any(|action| matches!(action, Action::Grant { .. })), "{then:?}");
}

#[test]
fn what_is_stranded_is_closed_and_replaced_and_the_server_is_not_to_blame() {
    let now = start();
    let (mut ledger, slots) = ledger(&[1, 2], now);
    ledger.strand(now, |slot| slot == slots[0]);
    let then = actions(&mut ledger);
    let closes =
        |action: &Action| matches!(action, Action::Close { slot, reason: CloseReason::Stranded } if *slot == slots[0]);
    assert!(then.iter().any(closes), "{then:?}");
    assert!(then.iter().any(|action| matches!(action, Action::Open(_))), "{then:?}");
    let snapshot = ledger.snapshot(now);
    assert_eq!((snapshot.idle, snapshot.breaker, snapshot.era), (1, Breaker::Closed, 0));
    assert_eq!(snapshot.totals.closed_for(CloseReason::Stranded), 1);
}

#[test]
fn a_lease_that_comes_back_stranded_is_closed_and_counts_as_work_done() {
    let now = start();
    let (mut ledger, slots) = ledger(&[1], now);
    assert_eq!(ledger.acquire(now, ask(now)), Acquired::Leased(slots[0]));
    ledger.release(now, slots[0], Return::Stranded);
    let snapshot = ledger.snapshot(now);
    assert_eq!((snapshot.closing, snapshot.era, snapshot.totals.released), (1, 0, 1));
}
