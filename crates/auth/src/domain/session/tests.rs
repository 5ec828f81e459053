use std::collections::HashMap;

use axum::http::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2024-08-10 14:30 UTC);

fn session() -> Session {
    Session::start(Uuid::now_v7(), NOW)
}

fn kept(spent: Option<Spent>) -> KnownToken {
    KnownToken { expires_at: NOW + REFRESH_LIFE, spent }
}

fn spent(seconds_ago: i64, successor_used: bool) -> KnownToken {
    kept(Some(Spent { at: NOW - Duration::seconds(seconds_ago), successor: [7; 32], successor_used }))
}

#[test]
fn a_fresh_token_rotates() {
    assert_eq!(judge(&session(), &kept(None), NOW), Verdict::Rotate);
}

#[test]
fn an_answer_is_given_again_for_thirty_seconds() {
    assert_eq!(judge(&session(), &spent(30, false), NOW), Verdict::Repeat([7; 32]));
    assert_eq!(judge(&session(), &spent(31, false), NOW), Verdict::Reused);
    assert_eq!(judge(&session(), &spent(1, true), NOW), Verdict::Reused);
}

#[test]
fn nothing_outlives_the_token_the_session_or_its_revocation() {
    let revoked = Session { revoked: true, ..session() };
    assert_eq!(judge(&revoked, &kept(None), NOW), Verdict::Invalid);
    assert_eq!(judge(&session(), &kept(None), NOW + REFRESH_LIFE), Verdict::Invalid);
    let last_day = Session { ends_at: NOW + Duration::HOUR, ..session() };
    assert_eq!(last_day.refresh_until(NOW), NOW + Duration::HOUR);
    assert_eq!(judge(&last_day, &kept(None), NOW + Duration::HOUR), Verdict::Invalid);
}

#[test]
fn a_successor_is_the_same_each_time_and_takes_both_the_token_and_the_key() {
    let (key, other) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
    let (first, second) = (RefreshToken::generate().secret, RefreshToken::generate().secret);
    let after = |token, key: &SigningKey| RefreshToken::after(token, key).hash;
    assert_eq!(after(&first, &key), after(&first, &key));
    assert_ne!(after(&first, &key), after(&second, &key));
    assert_ne!(after(&first, &key), after(&first, &other));
    let made_by_other = after(&first, &other);
    assert!(RefreshToken::made_before(&first, &key, &made_by_other).is_none());
    let both = key.also_accepting(other);
    assert!(RefreshToken::made_before(&first, &both, &made_by_other).is_some(), "during a rotation");
}

#[test]
fn a_client_is_called_what_it_calls_itself_and_no_longer() {
    let said = |value: &'static [u8]| {
        user_agent(&[(USER_AGENT, HeaderValue::from_bytes(value).unwrap())].into_iter().collect())
    };
    assert_eq!(said(b"curl/8.0").as_deref(), Some("curl/8.0"));
    assert_eq!((said(b" "), said(b"\xff\xfe"), user_agent(&HeaderMap::new())), (None, None, None));
    assert_eq!(said(&[b'x'; 5_000]).map(|kept| kept.len()), Some(USER_AGENT_LENGTH));
}

/// A session as the store keeps it, and those who hold a token of it.
struct Family {
    session: Session,
    key: SigningKey,
    tokens: HashMap<TokenHash, KnownToken>,
    holders: Vec<SecretString>,
}

impl Family {
    fn of(holders: usize) -> Self {
        let first = RefreshToken::generate();
        let tokens = [(first.hash, kept(None))].into_iter().collect();
        let holders = vec![first.secret; holders];
        Self { session: session(), key: SigningKey::from_seed([1; 32]), tokens, holders }
    }

    /// A holder refreshes; where the answer is lost, the token stays what it was.
    fn refresh(&mut self, holder: usize, now: OffsetDateTime, answer_comes: bool) -> Verdict {
        let presented = &self.holders[holder];
        let hash = hash_of(presented);
        let mut token = self.tokens[&hash].clone();
        if let Some(spent) = &mut token.spent {
            spent.successor_used = self.tokens[&spent.successor].spent.is_some();
        }
        let verdict = judge(&self.session, &token, now);
        let next = RefreshToken::after(presented, &self.key);
        match verdict {
            Verdict::Rotate => {
                let spent = Spent { at: now, successor: next.hash, successor_used: false };
                self.tokens.insert(hash, KnownToken { spent: Some(spent), ..token });
                self.tokens.insert(next.hash, KnownToken { expires_at: self.session.refresh_until(now), spent: None });
            }
            Verdict::Repeat(successor) => assert_eq!(successor, next.hash),
            Verdict::Reused => self.session.revoked = true,
            Verdict::Invalid => {}
        }
        if answer_comes && matches!(verdict, Verdict::Rotate | Verdict::Repeat(_)) {
            self.holders[holder] = next.secret;
        }
        verdict
    }

    fn unspent(&self) -> usize {
        self.tokens.values().filter(|token| token.spent.is_none()).count()
    }
}

proptest! {
    #[test]
    fn a_client_whose_answers_are_lost_is_never_logged_out(lost in vec(0..3_i64, 1..50)) {
        let (mut family, mut now) = (Family::of(1), NOW);
        for lost in lost {
            for _ in 0..lost {
                family.refresh(0, now, false);
                now += Duration::seconds(10);
            }
            let verdict = family.refresh(0, now, true);
            prop_assert!(matches!(verdict, Verdict::Rotate | Verdict::Repeat(_)), "{verdict:?}");
            now += Duration::minutes(10);
        }
    }

    #[test]
    fn tabs_that_refresh_within_half_a_minute_stay_together(rounds in vec(vec((0..5_usize, 0..30_i64), 1..10), 1..20)) {
        let (mut family, mut now) = (Family::of(5), NOW);
        for round in rounds {
            let mut delays: Vec<_> = (0..5).map(|tab| (round.iter().find(|(one, _)| *one == tab).map_or(0, |(_, delay)| *delay), tab)).collect();
            delays.sort_unstable();
            for (delay, tab) in delays {
                let verdict = family.refresh(tab, now + Duration::seconds(delay), true);
                prop_assert!(matches!(verdict, Verdict::Rotate | Verdict::Repeat(_)), "{verdict:?}");
            }
            prop_assert_eq!(family.unspent(), 1);
            now += Duration::minutes(10);
        }
    }

    #[test]
    fn two_who_do_not_know_of_each_other_are_found(first_gap in 31..600_i64, gaps in vec((0..2_usize, 31..600_i64), 3..20)) {
        let (mut family, mut now) = (Family::of(2), NOW);
        family.refresh(0, now, true);
        now += Duration::seconds(first_gap);
        let mut seen = [true, false];
        for (holder, gap) in gaps {
            let verdict = family.refresh(holder, now, true);
            seen[holder] = true;
            prop_assert!(family.unspent() <= 1);
            if seen == [true, true] {
                prop_assert!(matches!(verdict, Verdict::Reused | Verdict::Invalid), "{verdict:?}");
                prop_assert!(family.session.revoked);
            }
            now += Duration::seconds(gap);
        }
    }
}
