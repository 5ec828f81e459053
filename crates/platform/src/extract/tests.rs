use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequest;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parcel {
    weight: u32,
    #[expect(dead_code, reason = "only its type matters here")]
    lines: Vec<Line>,
    #[serde(default)]
    id: Option<Uuid>,
    #[serde(default)]
    speed: Speed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[expect(dead_code, reason = "only its type matters here")]
    text: String,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speed {
    #[default]
    Slow,
    Fast,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    limit: Option<i64>,
    #[serde(default)]
    speed: Speed,
    #[serde(default)]
    open: bool,
    word: Option<String>,
}

async fn sent(headers: &[(&str, &str)], body: impl Into<Body>) -> Result<Parcel, (u16, serde_json::Value)> {
    let request = headers.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    let parsed = Json::<Parcel>::from_request(request.body(body.into()).unwrap(), &()).await;
    parsed
        .map(|Json(parcel)| parcel)
        .map_err(|problem| (problem.status().as_u16(), serde_json::from_slice(&problem.body()).unwrap()))
}

async fn refused(media_type: &str, body: impl Into<Body>) -> (u16, serde_json::Value) {
    sent(&[("content-type", media_type)], body).await.unwrap_err()
}

#[tokio::test]
async fn what_is_not_json_is_400_and_another_media_type_415() {
    for body in ["{\"weight\":", "{\"weight\":1,\"lines\":[]} trailing", "", "\u{feff}{}", "{\"weight\":1e400}"] {
        assert_eq!(refused("application/json", body).await.0, 400, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(refused("application/json", deep).await.0, 400);
    assert_eq!(refused("text/plain", "{}").await.0, 415);
    assert_eq!(refused("", "{}").await.0, 415);
}

#[tokio::test]
async fn another_encoding_or_character_set_is_415_and_says_why() {
    let good = r#"{"weight":1,"lines":[]}"#;
    let json = ("content-type", "application/json");
    for (headers, said) in [
        (&[json, ("content-encoding", "gzip")][..], "Content-Encoding"),
        (&[json, ("content-encoding", "identity, br")], "Content-Encoding"),
        (&[("content-type", "application/json; charset=utf-16")], "UTF-8"),
        (&[("content-type", "application/json;v=1; Charset=\"latin1\"")], "UTF-8"),
        (&[json, ("content-type", "text/plain")], "one Content-Type"),
    ] {
        let (status, answer) = sent(headers, good).await.unwrap_err();
        assert_eq!((status, answer["detail"].as_str().unwrap().contains(said)), (415, true), "{answer}");
    }
    for media_type in
        ["application/json; charset=\"UTF-8\"", "Application/JSON ; charset = utf-8", "application/a+json"]
    {
        let headers = [("content-type", media_type), ("content-encoding", "identity")];
        assert_eq!(sent(&headers, good).await.unwrap().weight, 1, "{media_type}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_there_by_its_requests_deadline_is_408() {
    let never = Body::new(http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<Bytes>, std::convert::Infallible>,
    >()));
    let mut request = Request::builder().header(CONTENT_TYPE, "application/json").body(never).unwrap();
    request.extensions_mut().insert(Admission::within(forebay_pool::Class::Normal, Duration::from_millis(50)));
    let problem = Json::<Parcel>::from_request(request, &()).await.unwrap_err();
    assert_eq!(problem.status(), 408);
    assert_eq!(problem.into_response().headers()["connection"], "close");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    assert_eq!(refused("application/json", vec![b' '; BODY_LIMIT + 1]).await.0, 413);
}

#[tokio::test]
async fn a_wrong_shape_is_422_and_points_at_the_field_in_words_of_the_api() {
    for (body, pointer, code, detail) in [
        (
            r#"{"weight":1,"lines":[],"colour":2}"#,
            "/colour",
            "unknown-field",
            "is not known; known are weight, lines, id, speed",
        ),
        (r#"{"weight":"heavy","lines":[]}"#, "/weight", "wrong-type", "must be a whole number"),
        (r#"{"weight":-1,"lines":[]}"#, "/weight", "invalid-value", "must be a whole number from 0 to 4294967295"),
        (
            r#"{"weight":4294967296,"lines":[]}"#,
            "/weight",
            "invalid-value",
            "must be a whole number from 0 to 4294967295",
        ),
        (r#"{"weight":1.5,"lines":[]}"#, "/weight", "wrong-type", "must be a whole number"),
        (r#"{"weight":null,"lines":[]}"#, "/weight", "wrong-type", "must be a whole number"),
        (r#"{"weight":1,"lines":[{"text":"a"},{"text":7}]}"#, "/lines/1/text", "wrong-type", "must be a string"),
        (
            r#"{"weight":1,"lines":[{"text":"a\u0000"}]}"#,
            "/lines/0/text",
            "invalid-value",
            "must not contain the character U+0000",
        ),
        (
            r#"{"weight":1,"lines":[{"text":"a","a/b":1}]}"#,
            "/lines/0/a~1b",
            "unknown-field",
            "is not known; known are text",
        ),
        (r#"{"weight":1,"lines":{}}"#, "/lines", "wrong-type", "must be an array"),
        (r#"{"weight":1}"#, "/lines", "missing-field", "is missing"),
        (r#"{"weight":1,"lines":[],"speed":"best"}"#, "/speed", "invalid-value", "must be one of slow, fast"),
        (r#"{"weight":1,"lines":[],"speed":{"fast":null}}"#, "/speed", "wrong-type", "must be a string"),
        (r#"{"weight":1,"lines":[],"id":"no"}"#, "/id", "invalid-value", "must be a UUID"),
        ("null", "", "wrong-type", "must be an object"),
        ("[]", "", "wrong-type", "must be an object"),
        ("7", "", "wrong-type", "must be an object"),
    ] {
        let (status, answer) = refused("application/json; charset=utf-8", body).await;
        let error = json!({ "pointer": pointer, "code": code, "detail": detail });
        assert_eq!((status, &answer["errors"]), (422, &json!([error])), "{body}");
    }
}

#[tokio::test]
async fn an_array_is_no_object_and_a_name_stands_once_at_every_depth() {
    for (body, pointer, code) in [
        (r#"[1,[],null,"fast"]"#, "", "wrong-type"),
        (r#"{"weight":1,"lines":[["text"]]}"#, "/lines/0", "wrong-type"),
        (r#"{"weight":1,"lines":[],"weight":2}"#, "/weight", "repeated-field"),
        (r#"{"weight":1,"lines":[],"w\u0065ight":2}"#, "/weight", "repeated-field"),
        (r#"{"weight":1,"lines":[{"text":"a","text":"a"}]}"#, "/lines/0/text", "repeated-field"),
        (r#"{"x":1,"x":1}"#, "/x", "repeated-field"),
    ] {
        let (status, answer) = refused("application/json", body).await;
        let error = &answer["errors"][0];
        assert_eq!((status, &error["pointer"], &error["code"]), (422, &json!(pointer), &json!(code)), "{body}");
    }
}

#[tokio::test]
async fn what_json_means_is_read_however_it_is_written() {
    let id = Uuid::now_v7();
    for weight in ["99", "99.0", "9.9e1", "990E-1"] {
        let body =
            format!(r#" {{"lines":[{{"text":"\u00e9\ud83d\ude00"}}],"weight":{weight},"id":"{id}","speed":"fast"}} "#);
        let parcel = sent(&[("content-type", "application/json")], body).await.unwrap();
        assert_eq!((parcel.weight, parcel.id, parcel.speed), (99, Some(id), Speed::Fast));
    }
}

#[test]
fn whatever_json_says_is_read_as_it_is_but_for_a_name_that_stands_twice() {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<u64>().prop_map(|value| json!(value)),
        any::<f64>().prop_filter("JSON has no others", |value| value.is_finite()).prop_map(|value| json!(value)),
        "[^\u{0}]{0,8}".prop_map(|value| json!(value)),
    ];
    let tree = leaf.prop_recursive(4, 64, 24, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..24).prop_map(|list| json!(list)),
            proptest::collection::btree_map("[^\u{0}]{0,2}", inner, 0..24).prop_map(|fields| json!(fields)),
        ]
    });
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(tree in tree)| {
        let text = tree.to_string();
        let meant: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parse::<serde_json::Value>(text.as_bytes()).unwrap(), meant);
        let twice = format!("{{\"a\":[{{\"x\":{text},\"y\":0,\"x\":{text}}}]}}");
        let refused: serde_json::Value = serde_json::from_slice(&parse::<serde_json::Value>(twice.as_bytes()).unwrap_err().body()).unwrap();
        prop_assert_eq!(&refused["errors"][0]["pointer"], "/a/0/x");
    });
}

#[test]
fn whatever_bytes_come_are_an_answer() {
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(bytes: Vec<u8>, text in "[\\[\\]{}:,\"a01.eE\\\\u-]{0,40}")| {
        for bytes in [&bytes[..], text.as_bytes()] {
            let read = parse::<serde_json::Value>(bytes);
            let taken = serde_json::from_slice::<serde_json::Value>(bytes);
            prop_assert!(read.is_err() || taken.is_ok(), "what is not JSON was taken for it");
            prop_assert!(read.is_ok() || [400, 422].contains(&read.unwrap_err().status().as_u16()));
        }
    });
}

#[tokio::test]
async fn an_object_of_many_fields_is_looked_through_as_one_of_few() {
    for fields in [2, 16, 17, 5_000] {
        let names: Vec<_> = (0..fields).map(|number| format!("\"n{number}\":0")).collect();
        let read = |names: &[String]| parse::<serde_json::Value>(format!("{{{}}}", names.join(",")).as_bytes());
        assert_eq!(read(&names).unwrap().as_object().unwrap().len(), fields);
        let twice = [names.as_slice(), &[names[1].clone()]].concat();
        let refused: serde_json::Value = serde_json::from_slice(&read(&twice).unwrap_err().body()).unwrap();
        assert_eq!(refused["errors"][0]["pointer"], "/n1", "{fields}");
    }
}

async fn queried(query: &str) -> Result<Listing, (u16, serde_json::Value)> {
    let request = Request::get(format!("/?{query}")).body(Body::empty()).unwrap();
    let parsed = Query::<Listing>::from_request(request, &()).await;
    parsed
        .map(|Query(listing)| listing)
        .map_err(|problem| (problem.status().as_u16(), serde_json::from_slice(&problem.body()).unwrap()))
}

#[tokio::test]
async fn a_query_is_read_by_the_type_it_is_for_and_a_fault_names_the_parameter() {
    let listing = queried("limit=5&speed=fast&open=true&word=a%20b+c").await.unwrap();
    let word = Some("a b c".to_owned());
    assert_eq!(listing, Listing { limit: Some(5), speed: Speed::Fast, open: true, word });
    assert_eq!(queried("").await.unwrap().limit, None);
    for (query, parameter, code, detail) in [
        ("limit=abc", "limit", "invalid-value", "must be a whole number"),
        ("limit=", "limit", "invalid-value", "must be a whole number"),
        ("speed=best", "speed", "invalid-value", "must be one of slow, fast"),
        ("open=1", "open", "invalid-value", "must be true or false"),
        ("word=a%00", "word", "invalid-value", "must not contain the character U+0000"),
        ("colour=red", "colour", "unknown-parameter", "is not known; known are limit, speed, open, word"),
        ("limit=1&limit=1", "limit", "repeated-parameter", "must be sent once"),
    ] {
        let (status, answer) = queried(query).await.unwrap_err();
        let error = json!({ "parameter": parameter, "code": code, "detail": detail });
        assert_eq!((status, &answer["errors"]), (400, &json!([error])), "{query}");
        assert_eq!(answer["detail"], format!("the parameter {parameter} {detail}"));
    }
}

#[test]
fn an_idempotency_key_is_quoted_or_bare() {
    assert_eq!(IdempotencyKey::parse("\"a key\"").unwrap().as_str(), "a key");
    assert_eq!(IdempotencyKey::parse("abc-1").unwrap().as_str(), "abc-1");
    for wrong in ["", "\"\"", "\"open", "sla\\sh", "a\"b", &"x".repeat(256)] {
        assert_eq!(IdempotencyKey::parse(wrong), None, "{wrong}");
    }
}
