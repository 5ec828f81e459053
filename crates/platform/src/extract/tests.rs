use axum::body::Body;
use axum::extract::FromRequest;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parcel {
    #[expect(dead_code, reason = "only its type matters here")]
    weight: u32,
    #[expect(dead_code, reason = "only its type matters here")]
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[expect(dead_code, reason = "only its type matters here")]
    text: String,
}

async fn refused(media_type: &str, body: impl Into<Body>) -> (u16, serde_json::Value) {
    let request = Request::builder().header(CONTENT_TYPE, media_type).body(body.into()).unwrap();
    let problem = Json::<Parcel>::from_request(request, &()).await.unwrap_err();
    (problem.status().as_u16(), serde_json::from_slice(&problem.body()).unwrap())
}

#[tokio::test]
async fn what_is_not_json_is_400_and_another_media_type_415() {
    assert_eq!(refused("application/json", "{\"weight\":").await.0, 400);
    assert_eq!(refused("application/json", "{\"weight\":1,\"lines\":[]} trailing").await.0, 400);
    assert_eq!(refused("text/plain", "{}").await.0, 415);
    assert_eq!(refused("", "{}").await.0, 415);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    assert_eq!(refused("application/json", vec![b' '; BODY_LIMIT + 1]).await.0, 413);
}

#[tokio::test]
async fn a_wrong_shape_is_422_and_points_at_the_field() {
    for (body, pointer, code) in [
        (r#"{"weight":1,"lines":[],"colour":2}"#, "/colour", "unknown-field"),
        (r#"{"weight":"heavy","lines":[]}"#, "/weight", "wrong-type"),
        (r#"{"weight":-1,"lines":[]}"#, "/weight", "invalid-value"),
        (r#"{"weight":1,"lines":[{"text":"a"},{"text":7}]}"#, "/lines/1/text", "wrong-type"),
        (r#"{"weight":1,"lines":[{"text":"a","a/b":1}]}"#, "/lines/0/a~1b", "unknown-field"),
        (r#"{"weight":1}"#, "/lines", "missing-field"),
        (r#"[]"#, "", "invalid-value"),
    ] {
        let (status, answer) = refused("application/json; charset=utf-8", body).await;
        assert_eq!(
            (status, &answer["errors"][0]["pointer"], &answer["errors"][0]["code"]),
            (422, &pointer.into(), &code.into()),
            "{body}"
        );
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
