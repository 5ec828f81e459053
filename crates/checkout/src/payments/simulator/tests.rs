use super::*;

fn simulator(decline_percent: u8, lost_percent: u8) -> Simulator {
    Simulator::new(PgConnectOptions::new(), Knobs { decline_percent, lost_percent, ..Knobs::default() })
}

fn bills() -> impl Iterator<Item = Bill> {
    let of =
        |number: u128| Bill { order_id: Uuid::from_u128(number), attempt: 1, amount: 100, currency: "EUR".to_owned() };
    (0..10_000).map(of)
}

/// How many of ten thousand are declined, and of how many the answer is lost.
fn befalls(simulator: &Simulator) -> (usize, usize) {
    let declined = bills().filter(|bill| simulator.decide(bill, "tok_ok") == Outcome::Declined);
    let lost = bills().filter(|bill| simulator.loses(bill.order_id, bill.attempt));
    (declined.count(), lost.count())
}

#[test]
fn nothing_befalls_anybody_unless_it_was_asked_for() {
    assert_eq!(befalls(&simulator(0, 0)), (0, 0));
    assert_eq!(befalls(&simulator(100, 100)), (10_000, 10_000));
}

#[test]
fn a_share_is_about_what_was_asked_for_and_the_same_every_time() {
    let (declined, lost) = befalls(&simulator(20, 5));
    assert!((1_800..2_200).contains(&declined) && (400..600).contains(&lost), "{declined} {lost}");
    assert_eq!(befalls(&simulator(20, 5)), (declined, lost));
}

#[test]
fn a_second_attempt_is_drawn_anew() {
    let simulator = simulator(50, 0);
    let differs = bills().filter(|bill| {
        let again = Bill { attempt: 2, ..bill.clone() };
        simulator.decide(bill, "tok_ok") != simulator.decide(&again, "tok_ok")
    });
    assert!((4_500..5_500).contains(&differs.count()));
}
