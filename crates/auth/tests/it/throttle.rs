//! Wrong passwords: who has to wait for them, and who has not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use forebay_platform::quota::{Quota, Quotas};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{self, Answer, request, send};
use crate::world::{EMAIL, PASSWORD, World, credentials};

const OWNER: [u8; 4] = [192, 0, 2, 1];
const GUESSER: [u8; 4] = [198, 51, 100, 1];

/// An attempt to log in, from this address.
fn attempt(from: [u8; 4], email: &str, password: &str) -> Request<Body> {
    let mut request = client::json(request("POST", "/v1/auth/login"), &credentials(email, password));
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((from, 4711))));
    request
}

async fn log_in(world: &World, from: [u8; 4], email: &str, password: &str) -> Answer {
    send(&world.router, attempt(from, email, password)).await
}

/// Gives wrong passwords until they are not looked at; says how many were.
async fn guess(world: &World, from: [u8; 4], email: &str) -> (u32, Answer) {
    for looked_at in 0..100 {
        let answer = log_in(world, from, email, "wrong-password").await;
        if answer.status != 401 {
            return (looked_at, answer);
        }
    }
    panic!("a hundred wrong passwords were looked at");
}

#[tokio::test]
async fn five_wrong_passwords_make_wait_and_it_is_the_same_for_an_account_that_does_not_exist() {
    let world = World::with_ada().await;
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@shop.example"] {
        let (looked_at, answer) = guess(&world, GUESSER, email).await;
        assert_eq!(looked_at, 5, "{email}");
        assert_eq!(answer.problem(), (429, "quota-exceeded"));
        assert_eq!(answer.body["violated-policies"], serde_json::json!(["login-failures"]));
        assert_eq!(answer.header("ratelimit-policy"), "\"login-failures\";q=5;w=900");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
        assert_eq!(answer.header("ratelimit"), format!("\"login-failures\";r=0;t={wait}"));
        answers.push(answer.body["title"].clone());
    }
    assert_eq!(answers[0], answers[1]);
    let right = log_in(&world, GUESSER, EMAIL, PASSWORD).await;
    assert_eq!(right.problem(), (429, "quota-exceeded"), "who guesses is not told that it was right now");
}

#[tokio::test]
async fn a_hundred_and_fifty_wrong_passwords_at_once_are_hardly_looked_at() {
    let world = World::with_ada().await;
    let began = Instant::now();
    let guesses = (0..150).map(|_| log_in(&world, GUESSER, EMAIL, "wrong-password"));
    let looked_at = join_all(guesses).await.iter().filter(|answer| answer.status == 401).count();
    // Five, and then as many as are hashed at once each time that a wait of 5, 10, 20, ... seconds is over.
    let waited = (1_u32..).take_while(|waits| began.elapsed().as_secs() >= 5 * (2_u64.pow(*waits) - 1)).count();
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert!(looked_at <= 5 + at_once * (1 + waited), "{looked_at}");
}

#[tokio::test]
async fn who_guesses_from_elsewhere_does_not_keep_the_owner_out() {
    let world = World::with_ada().await;
    guess(&world, GUESSER, EMAIL).await;
    assert_eq!(log_in(&world, OWNER, EMAIL, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_guesses_from_the_same_address_does_not_keep_out_a_device_that_was_let_in() {
    let world = World::with_ada().await;
    let first = log_in(&world, OWNER, EMAIL, PASSWORD).await;
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    guess(&world, OWNER, EMAIL).await;
    assert_eq!(log_in(&world, OWNER, EMAIL, PASSWORD).await.status, 429);
    let with_cookie = |email: &str, password: &str| {
        let mut request = attempt(OWNER, email, password);
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request
    };
    let again = send(&world.router, with_cookie(EMAIL, PASSWORD)).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.header("set-cookie"), "", "it has one already");
    guess(&world, OWNER, "eve@shop.example").await;
    let other = send(&world.router, with_cookie("eve@shop.example", PASSWORD)).await;
    assert_eq!(other.status, 429, "the cookie is good for its own account alone");
    for _ in 0..5 {
        assert_eq!(send(&world.router, with_cookie(EMAIL, "wrong-password")).await.status, 401);
    }
    assert_eq!(send(&world.router, with_cookie(EMAIL, PASSWORD)).await.status, 429, "a stolen cookie is no way around");
}

#[tokio::test]
async fn a_client_has_a_quota_of_attempts_over_all_accounts_and_a_known_device_has_none() {
    let world = World::with_ada().await.within(Quotas::new([("login", Quota::per_hour(3))]));
    let cookie = log_in(&world, OWNER, EMAIL, PASSWORD).await.header("set-cookie").to_owned();
    for number in 0..2 {
        let answer = log_in(&world, OWNER, &format!("user{number}@shop.example"), PASSWORD).await;
        assert_eq!(answer.status, 401);
    }
    let answer = log_in(&world, OWNER, "user3@shop.example", PASSWORD).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"login\";q=3;w=3600");
    let mut known = attempt(OWNER, EMAIL, PASSWORD);
    known.headers_mut().insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
    assert_eq!(send(&world.router, known).await.status, 200);
    let statuses = join_all((0..20).map(async |_| {
        let mut known = attempt(OWNER, EMAIL, PASSWORD);
        known.headers_mut().insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
        send(&world.router, known).await.status.as_u16()
    }));
    let good = statuses.await.into_iter().filter(|status| *status == 200).count();
    assert_eq!(good, 9, "ten an hour, of which one is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_good_logins_succeed_while_more_bad_ones_come_than_can_be_looked_at() {
    let world = World::with_ada().await;
    let (stop, known_as_wrong) = (AtomicBool::new(false), AtomicU32::new(0));
    // How many were looked at: whoever was refused waits for a place.
    let looked_at = watch::Sender::new(0_u32);
    // Each of forty senders tries the next account as soon as it has an answer, so that none is made to wait.
    let guessers = join_all((0..40_u8).map(async |sender| {
        let mut wrong = 0;
        while !stop.load(Ordering::Relaxed) {
            let email = format!("user{sender}-{wrong}@shop.example");
            let mut next = looked_at.subscribe();
            let answer = log_in(&world, [198, 51, 100, sender], &email, "wrong-password").await;
            match answer.status.as_u16() {
                401 => {
                    wrong += 1;
                    looked_at.send_modify(|count| *count += 1);
                    known_as_wrong.fetch_add(u32::from(wrong == 1), Ordering::Relaxed);
                }
                // All places are taken. One of those who have them has been looked at since, or will be.
                503 => next.changed().await.unwrap(),
                _ => panic!("{answer:?}"),
            }
        }
    }));
    let owners = async {
        while known_as_wrong.load(Ordering::Relaxed) < 40 {
            tokio::task::yield_now().await;
        }
        let mut statuses = Vec::new();
        for round in 0..3_u8 {
            let good = (1..=10).map(|owner| log_in(&world, [192, 0, 2 + round, owner], EMAIL, PASSWORD));
            statuses.extend(join_all(good).await.iter().map(|answer| answer.status.as_u16()));
        }
        stop.store(true, Ordering::Relaxed);
        // Those who wait hear of it too.
        looked_at.send_modify(|count| *count += 1);
        statuses
    };
    let all = async { tokio::join!(guessers, owners).1 };
    let statuses = tokio::time::timeout(Duration::from_secs(120), all).await.unwrap();
    assert_eq!(statuses, [200; 30]);
}
