use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

fn client(number: u32) -> Client {
    Client::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

fn router(quotas: &Quotas) -> Router {
    Router::new().route("/things", quotas.bound("things", get(async || "here")))
}

/// Status, headers and body of the answer to `number`'s request.
async fn ask(router: &Router, number: Option<u32>) -> (u16, HeaderMap, String) {
    let mut request = Request::get("/things").body(Body::empty()).unwrap();
    if let Some(number) = number {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(number)), 4711);
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn whoever_has_used_up_a_quota_is_told_which_and_until_when() {
    let router = router(&Quotas::new([("things", Quota::per_hour(3))]));
    for _ in 0..3 {
        assert_eq!(ask(&router, Some(1)).await.0, 200);
    }
    let (status, headers, body) = ask(&router, Some(1)).await;
    assert_eq!(status, 429);
    let seconds = headers["retry-after"].to_str().unwrap();
    assert!((1_190..=1_200).contains(&seconds.parse().unwrap()), "a third of an hour: {seconds}");
    assert_eq!(headers["ratelimit-policy"], "\"things\";q=3;w=3600");
    assert_eq!(headers["ratelimit"].to_str().unwrap(), format!("\"things\";r=0;t={seconds}"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["code"], "quota-exceeded");
    assert_eq!(body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(body["violated-policies"], serde_json::json!(["things"]));
    assert_eq!(ask(&router, Some(2)).await.0, 200, "another client has a quota of its own");
}

#[tokio::test]
async fn nobody_is_counted_when_the_quota_is_off_or_the_sender_is_not_known() {
    let off = router(&Quotas::new([("things", Quota::OFF)]));
    let one = router(&Quotas::new([("things", Quota::per_hour(1))]));
    for _ in 0..5 {
        assert_eq!(ask(&off, Some(1)).await.0, 200);
        assert_eq!(ask(&one, None).await.0, 200);
    }
}

#[test]
fn a_quota_that_is_none_is_a_fault() {
    for text in ["60", "0/min", "-1/s", "60/day", "many/h", ""] {
        assert_eq!(text.parse::<Quota>(), Err(InvalidQuota), "{text}");
    }
    assert_eq!("5/s".parse::<Quota>().unwrap().to_string(), "5/s");
}

#[test]
fn one_policy_does_not_count_for_another() {
    let quotas = Quotas::new([("one", Quota::per_hour(1)), ("two", Quota::per_hour(1))]);
    for name in ["one", "two"] {
        assert!(quotas.0[name].spend(client(1)).is_ok());
        assert!(quotas.0[name].spend(client(1)).is_err());
    }
}

#[test]
fn nobody_gets_rid_of_a_wait_by_coming_from_many_other_addresses() {
    let bound = governor::Quota::per_hour(NonZeroU32::new(100).unwrap());
    let limiter = Limiter::new(bound, Counts(Table::new(1)), DefaultClock::default());
    let greedy = client(1);
    assert!((0..1_000).any(|_| limiter.check_key(&greedy).is_err()), "the bound is a hundred");
    for other in 2..200_000 {
        limiter.check_key(&client(other)).unwrap();
    }
    assert!(limiter.check_key(&greedy).is_err());
}
