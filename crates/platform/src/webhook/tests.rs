use http::HeaderValue;
use time::macros::datetime;

use super::*;

const BODY: &str = r#"{"test": 2432232314}"#;

fn message() -> Message<'static> {
    Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: BODY }
}

fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    HeaderMap::from_iter([(ID, value(id)), (TIMESTAMP, value(timestamp)), (SIGNATURE, value(signature))])
}

/// As a receiver would have it: signed by `secrets` at `at`.
fn sent(secrets: &[Secret], at: OffsetDateTime) -> HeaderMap {
    headers(message().id, &at.unix_timestamp().to_string(), &signatures(secrets, message(), at))
}

#[test]
fn the_signature_is_the_one_that_the_reference_libraries_make() {
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let at = OffsetDateTime::from_unix_timestamp(1_614_265_330).unwrap();
    assert_eq!(signatures(&[secret], message(), at), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn what_is_signed_by_the_old_secret_or_the_new_one_is_believed() {
    let (old, new, at) = (Secret::random(), Secret::random(), datetime!(2026-11-27 12:00 UTC));
    let came = sent(&[new.clone(), old.clone()], at);
    for secrets in [vec![old], vec![new.clone()], vec![Secret::random(), new]] {
        assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at), Ok(message().id));
    }
    assert_eq!(verify(&[Secret::random()], &came, BODY.as_bytes(), at), Err(Unverified::Forged));
}

#[test]
fn what_was_changed_on_the_way_or_is_old_is_not_believed() {
    let (secret, at) = (Secret::random(), datetime!(2026-11-27 12:00 UTC));
    let (secrets, came) = ([secret], sent(&[], at));
    let signature = signatures(&secrets, message(), at);
    assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at), Err(Unverified::Forged), "no signature at all");
    let came = sent(&secrets, at);
    assert_eq!(verify(&secrets, &came, b"{}", at), Err(Unverified::Forged));
    assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at + Duration::minutes(5)), Ok(message().id));
    for late in [Duration::minutes(-6), Duration::minutes(6)] {
        assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at + late), Err(Unverified::Stale));
    }
    let time = at.unix_timestamp().to_string();
    let other = headers("msg_other", &time, &signature);
    assert_eq!(verify(&secrets, &other, BODY.as_bytes(), at), Err(Unverified::Forged));
    for wrong in ["", "v1,", "v1", "v2,AAAA", "v1,=", &signature.replace("v1,", "v1a,")] {
        let came = headers(message().id, &time, wrong);
        assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at), Err(Unverified::Forged), "{wrong}");
    }
    for wrong in ["", "noon", "99999999999999999999", "-9223372036854775808"] {
        let came = headers(message().id, wrong, &signature);
        assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at), Err(Unverified::Stale), "{wrong}");
    }
    assert_eq!(verify(&secrets, &HeaderMap::new(), BODY.as_bytes(), at), Err(Unverified::Missing));
}

#[test]
fn a_secret_is_read_as_it_is_written_and_not_shown_otherwise() {
    let secret = Secret::random();
    assert_eq!(secret.reveal().parse::<Secret>().unwrap(), secret);
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    for wrong in
        ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!"]
    {
        assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
    }
}

#[test]
fn two_secrets_are_read_where_one_takes_the_place_of_the_other() {
    let (old, new, at) = (Secret::random(), Secret::random(), datetime!(2026-11-27 12:00 UTC));
    let both: Secrets = format!("{}, {}", new.reveal(), old.reveal()).parse().unwrap();
    for one in [old, new] {
        assert!(verify(&both, &sent(&[one], at), BODY.as_bytes(), at).is_ok());
    }
    assert_eq!(format!("{both:?}"), "Secrets([Secret(..), Secret(..)])");
    for wrong in ["", ",", &format!("{},", both[0].reveal())] {
        assert!(wrong.parse::<Secrets>().is_err(), "{wrong}");
    }
}

#[test]
fn a_header_that_stands_twice_or_an_id_with_a_dot_is_not_believed() {
    let (secrets, at) = ([Secret::random()], datetime!(2026-11-27 12:00 UTC));
    let came = sent(&secrets, at);
    for name in [ID, TIMESTAMP, SIGNATURE] {
        let mut twice = came.clone();
        twice.append(&name, came[&name].clone());
        assert_eq!(verify(&secrets, &twice, BODY.as_bytes(), at), Err(Unverified::Missing), "{name}");
    }
    let dotted = Message { id: "msg.1", body: BODY };
    let came = headers(dotted.id, &at.unix_timestamp().to_string(), &signatures(&secrets, dotted, at));
    assert_eq!(verify(&secrets, &came, BODY.as_bytes(), at), Err(Unverified::Forged));
}
