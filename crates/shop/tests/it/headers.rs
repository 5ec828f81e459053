//! What caches, browsers and foreign pages learn from the headers of answers, through the whole router.

use std::{slice::from_ref, time::Duration};

use axum::{Router, body::Body};
use forebay_auth::SigningKey;
use forebay_checkout::Payments;
use forebay_platform::{
    admit::{Admit, TimeLimits},
    db::Db,
    serve::Edge,
};
use forebay_pool::{Mode, Pool, Rules};
use forebay_shop::Services;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::serve::filled;

const OURS: &str = "https://shop.example";
const FOREIGN: &str = "https://evil.example";

type Field = (&'static str, String);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All that a header lists, in lower case.
    fn listed(&self, name: &str) -> Vec<String> {
        let lines = self.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_ascii_lowercase()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// All headers but these.
    fn without(&self, names: &[&str]) -> HeaderMap {
        let mut headers = self.headers.clone();
        names.iter().for_each(|name| _ = headers.remove(*name));
        headers
    }
}

/// All services of a seeded shop, called by one buyer.
struct World {
    router: Router,
    bearer: Field,
    cart: Field,
    /// Of the cart.
    path: String,
}

impl World {
    async fn new(edge: Edge) -> Self {
        let database = filled().await;
        let rules = Rules { mode: Mode::Off, ..Rules::default() };
        let config = forebay_pool::Config { rules, ..forebay_pool::Config::named("headers") };
        let db = Db::forebay(Pool::connect(database.options(), config).unwrap());
        let patient = Duration::from_secs(30);
        let admit = Admit::new(&db, TimeLimits { critical: patient, normal: patient });
        let payments = Payments::simulated(database.options(), Duration::ZERO, 0);
        let services = Services::all(&db, &admit, SigningKey::from_seed([7; 32]), payments, Duration::from_secs(600));
        let router = services.behind(edge).router();
        let login = json!({ "email": "user00001@example.test", "password": "correct-horse-battery" });
        let tokens = send(&router, "POST", "/v1/auth/login", &[], Some(&login)).await.json();
        let cart = send(&router, "POST", "/v1/carts", &[], None).await.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            router,
            bearer: ("authorization", format!("Bearer {}", text(&tokens["access_token"]))),
            cart: ("x-cart-token", text(&cart["cart_token"])),
            path: format!("/v1/carts/{}", text(&cart["id"])),
        }
    }

    async fn get(&self, path: &str, headers: &[Field]) -> Answer {
        send(&self.router, "GET", path, headers, None).await
    }

    /// Where something is to be read, with what it takes to read it.
    async fn resources(&self) -> Vec<(String, Vec<Field>)> {
        let product = self.get("/v1/products?limit=1", &[]).await.json()["data"][0].clone();
        let slug = product["slug"].as_str().unwrap();
        let image = product["images"][0]["url"].as_str().unwrap();
        let open =
            ["/docs", "/docs/style.css", "/openapi.json", "/assets/main.js", "/v1/products?limit=50", "/v1/categories"];
        let mut all: Vec<_> = open.map(|path| (path.to_owned(), Vec::new())).into();
        all.push((format!("/v1/products/{slug}"), Vec::new()));
        all.push((image.to_owned(), Vec::new()));
        all.push(("/.well-known/jwks.json".to_owned(), Vec::new()));
        all.push(("/".to_owned(), vec![("accept", "text/html".to_owned())]));
        all.push(("/v1/me".to_owned(), vec![self.bearer.clone()]));
        all.push((self.path.clone(), vec![self.cart.clone()]));
        all
    }
}

async fn send(router: &Router, method: &str, path: &str, headers: &[Field], body: Option<&Value>) -> Answer {
    // The same for all, so that the answers are.
    let id = "0190b3a0-7c5e-7abc-8def-0123456789ab";
    let mut request = Request::builder().method(method).uri(path).header("x-request-id", id);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let (head, body) = router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

fn open_to(origin: &str) -> Edge {
    Edge { origins: origin.parse().unwrap(), ..Edge::default() }
}

#[tokio::test]
async fn an_answer_that_may_be_kept_names_the_headers_that_it_depends_on() {
    let world = World::new(open_to(OURS)).await;
    let mut resources = world.resources().await;
    let others = [
        "/nowhere",
        "/v1/cart",
        "/v1/orders",
        "/v1/me/sessions",
        "/v1/availability?sku=SKU-000001",
        "/",
        "/v1/me",
        &world.path,
    ];
    resources.extend(others.map(|path| (path.to_owned(), Vec::new())));
    let varied = [
        ("accept-encoding", "gzip".to_owned()),
        ("accept", "text/html".to_owned()),
        ("origin", OURS.to_owned()),
        ("origin", FOREIGN.to_owned()),
        world.bearer.clone(),
        world.cart.clone(),
    ];
    let mut seen = Vec::new();
    for (path, needed) in &resources {
        for header in varied.iter().filter(|(name, _)| !needed.iter().any(|(needs, _)| needs == name)) {
            let without = world.get(path, needed).await;
            let with = world.get(path, &[needed.as_slice(), from_ref(header)].concat()).await;
            if (with.status, &with.headers, &with.body) == (without.status, &without.headers, &without.body) {
                continue;
            }
            seen.push(format!("{path} {}", header.0));
            for answer in [with, without] {
                let kept = !answer.header("cache-control").contains("no-store");
                let named = answer.listed("vary").iter().any(|name| name == header.0);
                assert!(named || !kept, "{path}: {header:?}: {:?}", answer.headers);
            }
        }
    }
    for different in ["/openapi.json accept-encoding", "/openapi.json origin", "/ accept", "/v1/me authorization"] {
        assert!(seen.iter().any(|seen| seen == different), "{different}: {seen:#?}");
    }
}

#[tokio::test]
async fn what_is_kept_for_one_person_is_kept_by_nobody_between() {
    let world = World::new(Edge::default()).await;
    for path in ["/v1/me", "/v1/cart", "/v1/orders", "/v1/me/sessions", "/v1/me/addresses", "/v1/returns"] {
        let answer = world.get(path, from_ref(&world.bearer)).await;
        assert_eq!(answer.header("cache-control"), "private, no-store", "{path}");
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
    }
}

#[tokio::test]
async fn pages_of_a_named_origin_may_call_and_read_also_what_went_wrong() {
    let world = World::new(open_to(OURS)).await;
    let preflight = async |origin: &str, method: &str| {
        let asked = "authorization,content-type,idempotency-key,if-match,x-cart-token";
        let headers =
            [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", asked)];
        send(&world.router, "OPTIONS", "/v1/orders", &headers.map(|(name, value)| (name, value.to_owned())), None).await
    };
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let told = preflight(OURS, method).await;
        assert_eq!((told.status.as_u16(), told.header("access-control-allow-origin")), (200, OURS), "{method}");
        assert!(
            told.listed("access-control-allow-methods").contains(&method.to_ascii_lowercase()),
            "{:?}",
            told.headers
        );
        for name in ["authorization", "content-type", "idempotency-key", "if-match", "x-cart-token"] {
            assert!(told.listed("access-control-allow-headers").iter().any(|known| known == name), "{name}");
        }
        assert!(told.header("access-control-max-age") == "600" && told.body.is_empty(), "{:?}", told.headers);
    }
    let from = |origin: &str| [("origin", origin.to_owned())];
    for (method, path, status) in [
        ("GET", "/v1/products", 200),
        ("GET", "/v1/me", 401),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/orders", 405),
        ("POST", "/v1/auth/login", 415),
    ] {
        let read = send(&world.router, method, path, &from(OURS), None).await;
        assert_eq!(
            (read.status.as_u16(), read.header("access-control-allow-origin")),
            (status, OURS),
            "{method} {path}"
        );
        assert!(read.listed("access-control-expose-headers").iter().any(|name| name == "retry-after"), "{path}");
        // Cookies are for the shop's own pages.
        assert!(!read.headers.contains_key("access-control-allow-credentials"), "{path}");
        let foreign = send(&world.router, method, path, &from(FOREIGN), None).await;
        assert_eq!((foreign.status.as_u16(), foreign.header("access-control-allow-origin")), (status, ""), "{path}");
    }
    assert_eq!(preflight(FOREIGN, "POST").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn without_a_named_origin_no_foreign_page_may_call() {
    let world = World::new(Edge::default()).await;
    let asked = [("origin", FOREIGN.to_owned()), ("access-control-request-method", "POST".to_owned())];
    let preflight = send(&world.router, "OPTIONS", "/v1/orders", &asked, None).await;
    assert_eq!(preflight.status, 405);
    for answer in [preflight, world.get("/v1/products", &asked[..1]).await] {
        assert!(
            !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")),
            "{:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn what_is_large_and_everybodys_comes_in_gzip_and_nothing_else() {
    let world = World::new(Edge::default()).await;
    let gzip = ("accept-encoding", "gzip".to_owned());
    let mut compressed = Vec::new();
    for (path, needed) in world.resources().await {
        let plain = world.get(&path, &needed).await;
        let sent = world.get(&path, &[needed.as_slice(), from_ref(&gzip)].concat()).await;
        assert_eq!((plain.header("content-encoding"), plain.status.as_u16()), ("", 200), "{path}");
        let large = plain.body.len() > 1024 && plain.header("cache-control").starts_with("public");
        assert_eq!(sent.header("content-encoding"), if large { "gzip" } else { "" }, "{path}: {}", plain.body.len());
        if large {
            assert!(sent.body.starts_with(&[0x1f, 0x8b]) && sent.body.len() < plain.body.len(), "{path}");
            assert_eq!(sent.header("content-length"), sent.body.len().to_string(), "{path}");
            assert_ne!(sent.header("etag"), plain.header("etag"), "{path}");
            compressed.push(path);
        } else {
            assert_eq!(sent.body, plain.body, "{path}");
        }
    }
    assert!((5..12).contains(&compressed.len()), "{compressed:?}");
}

#[tokio::test]
async fn an_answer_that_is_known_already_keeps_its_headers_and_a_head_has_those_of_its_body() {
    let world = World::new(open_to(OURS)).await;
    let content = ["content-type", "content-length", "content-encoding"];
    for (path, needed) in world.resources().await {
        for encoding in ["identity", "gzip"] {
            let asked = [needed.as_slice(), &[("accept-encoding", encoding.to_owned())]].concat();
            let read = world.get(&path, &asked).await;
            let tag = read.header("etag").to_owned();
            assert!(read.status == 200 && !tag.is_empty(), "{path}: {:?}", read.headers);
            let known = world.get(&path, &[asked.as_slice(), &[("if-none-match", tag)]].concat()).await;
            assert_eq!((known.status.as_u16(), known.body.len()), (304, 0), "{path}");
            // What is too small to be compressed does not depend on what is taken; to say so of it all the same is no harm.
            let (mut before, mut now) = (read.without(&content), known.without(&content));
            if read.body.len() <= 1024 && !read.headers.contains_key("content-encoding") {
                before.remove("vary");
                now.remove("vary");
            }
            assert_eq!(now, before, "{path}, {encoding}");
            let head = send(&world.router, "HEAD", &path, &asked, None).await;
            assert_eq!(
                (head.status, head.body.len(), head.headers),
                (read.status, 0, read.headers),
                "{path}, {encoding}"
            );
        }
    }
}
