//! What one client may send, and the headers that each answer has.

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::process::{Shop, home};

const TWO: &str = "2/h";
const NOBODY: (&str, &str) = ("x-forwarded-for", "198.51.100.1");

/// Status and headers of an answer.
async fn ask(shop: &Shop, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, HeaderMap) {
    let body = Some(body).filter(|body| !body.is_null());
    let (head, _) = shop.http.whole(method, path, headers, body).await.unwrap();
    (head.status.as_u16(), head.headers)
}

#[tokio::test]
async fn one_client_makes_no_more_accounts_logins_carts_and_orders_than_its_quotas_allow() {
    let home = home();
    let settings = ["REGISTER", "LOGIN", "REFRESH", "CARTS", "ORDERS"].map(|name| format!("FOREBAY_QUOTA_{name}"));
    let mut settings: Vec<_> = settings.iter().map(|name| (name.as_str(), TWO)).collect();
    settings.push(("FOREBAY_TRUSTED_PROXIES", "127.0.0.1"));
    let shop = Shop::open(home.path(), &settings).await;
    let account =
        |number| json!({"email": format!("new{number}@example.test"), "name": "New", "password": "tidal-mango-71"});
    let login = json!({"email": "nobody@example.test", "password": "correct-horse-battery"});
    let cases = [
        ("register", "/v1/auth/register", [account(1), account(2), account(3)]),
        ("login", "/v1/auth/login", [login.clone(), login.clone(), login]),
        (
            "refresh",
            "/v1/auth/refresh",
            [json!({"refresh_token": "x"}), json!({"refresh_token": "y"}), json!({"refresh_token": "z"})],
        ),
        ("carts", "/v1/carts", [Value::Null, Value::Null, Value::Null]),
        ("orders", "/v1/orders", [json!({}), json!({}), json!({})]),
    ];
    for (policy, path, bodies) in cases {
        for (number, body) in bodies.into_iter().enumerate() {
            let (status, headers) = ask(&shop, Method::POST, path, &[], body.clone()).await;
            assert_eq!(status == 429, number == 2, "{path}: {status}");
            if status == 429 {
                assert_eq!(headers["ratelimit-policy"].to_str().unwrap(), format!("\"{policy}\";q=2;w=3600"));
                assert!(headers.contains_key("retry-after") && headers.contains_key("ratelimit"), "{headers:?}");
                let (status, _) = ask(&shop, Method::POST, path, &[NOBODY], body).await;
                assert_ne!(status, 429, "{path}: another client behind the proxy");
            }
        }
    }
    let (_, metrics) = shop.admin.text("/metrics").await.unwrap();
    for line in [
        r#"quota_refusals_total{policy="carts"} 1"#,
        r#"security_events_total{event="register",outcome="good"} 3"#,
        r#"security_events_total{event="login",outcome="bad"} 3"#,
        r#"security_events_total{event="login",outcome="throttled"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn no_answer_is_kept_by_a_cache_that_should_not_nor_taken_for_another_type() {
    let home = home();
    let shop = Shop::open(home.path(), &[]).await;
    let login = json!({"email": "user00001@example.test", "password": "correct-horse-battery"});
    let wrong = json!({"email": "user00001@example.test", "password": "wrong"});
    let cases = [
        (Method::POST, "/v1/auth/login", login, true),
        (Method::POST, "/v1/auth/login", wrong, true),
        (Method::POST, "/v1/carts", Value::Null, true),
        (Method::GET, "/v1/orders/1", Value::Null, true),
        (Method::GET, "/nowhere", Value::Null, true),
        (Method::PUT, "/v1/products", Value::Null, true),
        (Method::GET, "/v1/products", Value::Null, false),
        (Method::GET, "/.well-known/jwks.json", Value::Null, false),
    ];
    for (method, path, body, private) in cases {
        let (status, headers) = ask(&shop, method.clone(), path, &[], body).await;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{method} {path}: {status}");
        let kept = headers["cache-control"].to_str().unwrap();
        assert_eq!(kept == "private, no-store", private, "{method} {path}: {status} {kept}");
    }
    for path in ["/livez", "/metrics", "/nowhere"] {
        let (head, _) = shop.admin.whole(Method::GET, path, &[], None).await.unwrap();
        assert_eq!(head.headers["x-content-type-options"], "nosniff", "{path}");
    }
}
