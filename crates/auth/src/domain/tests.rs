use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2024-08-10 14:30 UTC);

fn session() -> Session {
    Session::start(Uuid::now_v7(), Role::Customer, NOW)
}

fn kept(spent: Option<Spent>) -> Kept {
    Kept { expires_at: NOW + REFRESH_LIFE, spent }
}

fn spent(seconds_ago: i64, successor_used: bool) -> Kept {
    kept(Some(Spent { at: NOW - Duration::seconds(seconds_ago), successor: [7; 32], successor_used }))
}

#[test]
fn a_fresh_token_rotates() {
    assert_eq!(judge(&session(), &kept(None), NOW), Verdict::Rotate);
}

#[test]
fn a_lost_answer_is_given_again_for_thirty_seconds() {
    assert_eq!(judge(&session(), &spent(30, false), NOW), Verdict::Replace([7; 32]));
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
fn an_address_needs_two_sides_and_a_dot() {
    assert!(email_is_plausible("a.b+c@shop.example"));
    for wrong in
        ["", "a", "@shop.example", "a@shop", "a@@shop.example", "a b@shop.example", "a@shop..example", "a@b.c\n"]
    {
        assert!(!email_is_plausible(wrong), "{wrong:?}");
    }
}
