//! Requests: first as docs/api.md wants them, then with something wrong.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use uuid::Uuid;

use super::documented::Endpoint;
use super::json::{Json, spoil_bytes};
use super::larder::{Larder, PASSWORD};

#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) target: Vec<u8>,
    version: &'static str,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    json: Option<Json>,
    body: Vec<u8>,
    framing: Framing,
    /// The id that the answer has to repeat.
    pub(super) id: Option<String>,
    /// It cannot be read as a request, or ends before its end: whatever comes after it is in doubt.
    pub(super) broken: bool,
    /// It still is what the endpoint is for, whatever it says.
    pub(super) at_endpoint: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
    /// As the headers say, rightly or wrongly.
    Unsaid,
}

impl Draft {
    /// A request that the endpoint is for.
    pub(super) fn of(endpoint: &Endpoint, larder: &Larder, dice: &mut StdRng) -> Self {
        let (cart, cart_token) = larder.cart(dice);
        let id = Uuid::from_u128(dice.random()).to_string();
        let mut headers: Vec<(String, Vec<u8>)> =
            vec![("host".to_owned(), b"127.0.0.1".to_vec()), ("x-request-id".to_owned(), id.clone().into_bytes())];
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value.into_bytes()));
        if endpoint.needs.contains("bearer") {
            add("authorization", format!("Bearer {}", larder.access_token(dice)));
        }
        if endpoint.is_for_admins() {
            add("authorization", format!("Bearer {}", larder.admin_token));
        }
        if endpoint.needs.contains("cart") {
            add("x-cart-token", cart_token);
        }
        if endpoint.needs.contains("Idempotency-Key") {
            add(
                "idempotency-key",
                if dice.random_range(0..5) == 0 { "again".to_owned() } else { format!("key-{}", dice.random::<u64>()) },
            );
        }
        if endpoint.needs.contains("If-Match") {
            add(
                "if-match",
                if dice.random_bool(0.5) { "*".to_owned() } else { format!("\"{}\"", dice.random_range(0..4u8)) },
            );
        }
        let json = (!endpoint.fields.is_empty()).then(|| {
            let mut members = Vec::new();
            for field in &endpoint.fields {
                let name = field.trim_end_matches('?');
                // What may be left out mostly is: of what it says nothing is known here.
                if name == field || dice.random_range(0..8) == 0 {
                    members.push((name, valid(name, endpoint, &cart, larder, dice)));
                }
            }
            Json::object(members)
        });
        if json.is_some() {
            add("content-type", "application/json".to_owned());
        }
        Self {
            method: endpoint.method.clone(),
            target: target(endpoint, &cart, larder, dice).into_bytes(),
            version: "HTTP/1.1",
            headers,
            json,
            body: Vec::new(),
            framing: Framing::Length,
            id: Some(id),
            broken: false,
            at_endpoint: true,
        }
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
    }

    /// Makes one thing wrong.
    pub(super) fn spoil(&mut self, larder: &Larder, dice: &mut StdRng) {
        match dice.random_range(0..20) {
            0..=7 => self.spoil_body(dice),
            8..=9 => self.spoil_credentials(larder, dice),
            10..=13 => self.spoil_headers(dice),
            14..=16 => self.spoil_target(dice),
            17 => self.spoil_method(dice),
            _ => self.spoil_framing(dice),
        }
    }

    fn spoil_body(&mut self, dice: &mut StdRng) {
        match &mut self.json {
            Some(json) if dice.random_range(0..4) > 0 => json.spoil(dice),
            Some(json) => {
                self.body = json.write();
                self.json = None;
                spoil_bytes(&mut self.body, dice);
            }
            None => spoil_bytes(&mut self.body, dice),
        }
    }

    fn spoil_credentials(&mut self, larder: &Larder, dice: &mut StdRng) {
        let token = larder.access_token(dice);
        let mut tampered = token.clone().into_bytes();
        if !tampered.is_empty() {
            let at = dice.random_range(0..tampered.len());
            tampered[at] = *b"Aa0-_.".choose(dice).unwrap();
        }
        let bearer = |token: &[u8]| [b"Bearer ", token].concat();
        let values = [
            Vec::new(),
            b"Bearer".to_vec(),
            b"Bearer  ".to_vec(),
            b"Basic dXNlcjpwYXNz".to_vec(),
            bearer(b"x"),
            bearer(b"\xff\xfe"),
            bearer(b"a.b.c"),
            bearer(b"eyJhbGciOiJub25lIn0.e30."),
            bearer(&tampered),
            bearer(larder.refresh_token(dice).as_bytes()),
            bearer(&token.as_bytes()[..token.len() / 2]),
            bearer(&b"A".repeat(10_000)),
            bearer([token.as_bytes(), b", Bearer x"].concat().as_slice()),
            bearer(token.as_bytes()),
        ];
        let name = *["authorization", "authorization", "x-cart-token"].choose(dice).unwrap();
        let kept = dice.random_range(0..4) == 0;
        self.headers.retain(|(known, _)| kept || known != name);
        if dice.random_range(0..6) > 0 {
            self.headers.push((name.to_owned(), values.choose(dice).unwrap().clone()));
        }
    }

    fn spoil_headers(&mut self, dice: &mut StdRng) {
        let long = "x".repeat(*[256, 8_000, 20_000, 70_000].choose(dice).unwrap());
        let values: (&str, &[&str]) = *HEADERS.choose(dice).unwrap();
        let value = match dice.random_range(0..12) {
            0 => long.as_bytes(),
            1 => b"\xff\x80",
            2 => b"\xc3\xbc \xe2\x82\xac",
            3 => b"a\x01b",
            4 => b"a\tb",
            5 => b"",
            _ => values.1.choose(dice).unwrap().as_bytes(),
        };
        if values.0 == "x-request-id" {
            self.id = None;
        }
        // What says where a body ends is no matter of one header.
        self.broken |= matches!(values.0, "content-length" | "transfer-encoding") || value.contains(&1);
        let beside = dice.random_range(0..4) == 0;
        self.headers.retain(|(known, _)| beside || known != values.0);
        for _ in 0..*[0, 1, 1, 1, 1, 1, 1, 2, 120].choose(dice).unwrap() {
            self.headers.push((values.0.to_owned(), value.to_vec()));
        }
        if dice.random_range(0..40) == 0 {
            let name = *["", "a b", "a\x01", "\u{fc}", "a:b", " a"].choose(dice).unwrap();
            self.headers.push((name.to_owned(), b"x".to_vec()));
            self.broken = true;
        }
    }

    fn spoil_target(&mut self, dice: &mut StdRng) {
        self.at_endpoint = false;
        let at = dice.random_range(1..=self.target.len().max(1)).min(self.target.len());
        match dice.random_range(0..12) {
            0..=3 => {
                let sign = if self.target.contains(&b'?') { "&" } else { "?" };
                let name = *["limit", "cursor", "sort", "q", "", "limit[]", "%00", "%ff"].choose(dice).unwrap();
                let value = *QUERY_VALUES.choose(dice).unwrap();
                self.target.extend([sign, name, "=", value].concat().into_bytes());
            }
            4..=6 => {
                let piece = *PATH_PIECES.choose(dice).unwrap();
                self.target.splice(at..at, piece.bytes());
            }
            7 => self.target.truncate(at),
            8 => {
                let length = *[300, 5_000, 70_000].choose(dice).unwrap();
                self.target.extend(b"a".repeat(length));
            }
            9 => {
                let odd = ["*", "/", "//", "http://127.0.0.1/v1/products", "http://[::1/", "v1"];
                self.target = odd.choose(dice).unwrap().as_bytes().to_vec();
                self.broken = true;
            }
            10 => {
                self.target.insert(at, *b"\x00 \x7f\xff\t\"<>".choose(dice).unwrap());
                self.broken = true;
            }
            _ => {
                let piece = *["x", "0", "SKU-999999", "00000000-0000-0000-0000-000000000000"].choose(dice).unwrap();
                let kept = self.target.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                self.target.truncate(kept + 1);
                self.target.extend(piece.bytes());
            }
        }
    }

    fn spoil_method(&mut self, dice: &mut StdRng) {
        let methods =
            ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "G(T", ""];
        let method = *methods.choose(dice).unwrap();
        let is_same = method == self.method || (method == "HEAD" && self.method == "GET");
        self.at_endpoint = self.at_endpoint && is_same;
        self.broken |= matches!(method, "CONNECT" | "G(T" | "");
        method.clone_into(&mut self.method);
    }

    fn spoil_framing(&mut self, dice: &mut StdRng) {
        self.body = self.write_body();
        self.json = None;
        let length = self.body.len();
        let lengths = [
            format!("{}", length + 10),
            format!("+{length}"),
            format!("-{length}"),
            format!("{length}, {length}"),
            format!("0x{length:x}"),
            "18446744073709551616".to_owned(),
            "100000".to_owned(),
            String::new(),
        ];
        match dice.random_range(0..8) {
            0..=2 => self.framing = Framing::Chunks,
            3 => {
                self.version = ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "http/1.1", ""].choose(dice).unwrap();
                self.broken = true;
            }
            4 => {
                let coding =
                    *["identity", "gzip", "xchunked", "chunked, chunked", "gzip, chunked"].choose(dice).unwrap();
                self.headers.push(("transfer-encoding".to_owned(), coding.into()));
                (self.framing, self.broken) = (Framing::Unsaid, true);
            }
            5 => {
                // Both of them.
                self.headers.push(("content-length".to_owned(), length.to_string().into_bytes()));
                (self.framing, self.broken) = (Framing::Chunks, true);
            }
            _ => {
                self.headers.push(("content-length".to_owned(), lengths.choose(dice).unwrap().clone().into_bytes()));
                (self.framing, self.broken) = (Framing::Unsaid, true);
            }
        }
    }

    fn write_body(&self) -> Vec<u8> {
        self.json.as_ref().map_or_else(|| self.body.clone(), Json::write)
    }

    /// The bytes that go out.
    pub(super) fn write(&self) -> Vec<u8> {
        let body = self.write_body();
        let mut out = [self.method.as_bytes(), b" ", &self.target, b" ", self.version.as_bytes(), b"\r\n"].concat();
        for (name, value) in &self.headers {
            out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        match self.framing {
            Framing::Length if body.is_empty() && self.method == "GET" => {}
            Framing::Length => out.extend(format!("content-length: {}\r\n", body.len()).into_bytes()),
            Framing::Chunks => out.extend(b"transfer-encoding: chunked\r\n"),
            Framing::Unsaid => {}
        }
        out.extend(b"\r\n");
        if self.framing == Framing::Chunks {
            for part in body.chunks(1_000) {
                out.extend([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
            }
            out.extend(b"0\r\n\r\n");
        } else {
            out.extend(body);
        }
        out
    }
}

/// The path with its parameters filled in, and at times a query.
fn target(endpoint: &Endpoint, cart: &str, larder: &Larder, dice: &mut StdRng) -> String {
    let mut target = String::new();
    let mut before = "";
    for part in endpoint.path.split('/').filter(|part| !part.is_empty()) {
        target.push('/');
        match part {
            "{sku}" => target.push_str(&larder.sku(dice)),
            _ if part.starts_with('{') && before == "carts" => target.push_str(cart),
            _ if part.starts_with('{') => target.push_str(&larder.id(before, dice)),
            _ => target.push_str(part),
        }
        before = part;
    }
    for name in &endpoint.query {
        let value = match name.as_str() {
            "limit" if dice.random_bool(0.5) => dice.random_range(1..=100u8).to_string(),
            "below" if dice.random_bool(0.5) => dice.random::<u8>().to_string(),
            "status" if dice.random_bool(0.5) => (*["paid", "shipped", "expired"].choose(dice).unwrap()).to_owned(),
            "sort" if dice.random_bool(0.5) => {
                (*["newest", "popular", "price_asc", "price_desc", "name"].choose(dice).unwrap()).to_owned()
            }
            "status" if dice.random_bool(0.5) => {
                (*["paid", "payment_failed", "expired", "cancelled", "delivered"].choose(dice).unwrap()).to_owned()
            }
            "sku" => larder.sku(dice),
            name if dice.random_range(0..4) == 0 => match FILTERS.iter().find(|(known, _)| *known == name) {
                Some((_, values)) => (*(*values).choose(dice).unwrap()).to_owned(),
                None => continue,
            },
            _ => continue,
        };
        target.push_str(&format!("{}{name}={value}", if target.contains('?') { '&' } else { '?' }));
    }
    target
}

/// What lists are filtered and searched by.
const FILTERS: [(&str, &[&str]); 8] = [
    ("q", &["kettle", "ketle", "%22oak+lamp%22", "plain+-drum", "repaired", "%26%7C%21", "xyzzy"]),
    ("category", &["kitchen", "kettles", "nobody"]),
    ("brand", &["Oak", "Nobody"]),
    ("min_price", &["0", "2000", "1000000000"]),
    ("max_price", &["0", "5000", "1000000000"]),
    ("in_stock", &["true", "false"]),
    ("ids", &["00000000-0000-7000-8000-000000000000"]),
    ("count", &["estimate"]),
];

/// What a field of this name usually says.
fn valid(name: &str, endpoint: &Endpoint, cart: &str, larder: &Larder, dice: &mut StdRng) -> Json {
    let registers = endpoint.path.ends_with("/register");
    match name {
        "email" if registers => Json::text(&format!("r{}@example.test", dice.random::<u64>())),
        "email" => Json::text(&format!("user{:05}@example.test", dice.random_range(1..=50u8))),
        "password" if !registers && dice.random_range(0..10) == 0 => Json::text("a wrong one, for once"),
        "current" | "new" => Json::text(PASSWORD),
        name if name.contains("password") => Json::text(PASSWORD),
        "refresh_token" => Json::text(&larder.refresh_token(dice)),
        "cart_id" => Json::text(cart),
        "cart_version" => Json::plain(&larder.shown(cart).0.to_string()),
        "expected_total" => Json::plain(&larder.shown(cart).1.to_string()),
        "payment_token" => Json::text(["tok_ok", "tok_ok", "tok_decline", "tok_lost"].choose(dice).unwrap()),
        "quantity" => Json::plain(&dice.random_range(0..10u8).to_string()),
        "restock" => Json::plain("true"),
        "delta" => Json::plain(["1", "5", "-1"].choose(dice).unwrap()),
        "amount" => Json::object([("amount", Json::plain("100")), ("currency", Json::text("EUR"))]),
        "address" => address(),
        "items" => {
            let quantity = Json::plain(&dice.random_range(0..3u8).to_string());
            Json::Array(vec![Json::object([("sku", Json::text(&larder.sku(dice))), ("quantity", quantity)])])
        }
        "country" => Json::text("DE"),
        "slug" => Json::text(&format!("slug-{}", dice.random::<u32>())),
        "category" | "parent" => Json::text("kettles"),
        "status" if endpoint.is_for_admins() => Json::text(["active", "draft"].choose(dice).unwrap()),
        "skus" => {
            let sku = Json::text(&format!("NEW-{}", dice.random::<u32>()));
            Json::Array(vec![Json::object([("sku", sku), ("price", price(dice))])])
        }
        "price" => price(dice),
        "position" => Json::plain(&dice.random::<u8>().to_string()),
        "active" => Json::plain("true"),
        "max" => Json::plain("40"),
        "flush_idle" => Json::plain("false"),
        name if name.starts_with("is_") || name == "default" => Json::plain("true"),
        name if name.ends_with("_id") => Json::text(&larder.id(name, dice)),
        _ => Json::text("Ada"),
    }
}

fn price(dice: &mut StdRng) -> Json {
    Json::object([("amount", Json::plain(&dice.random::<u16>().to_string())), ("currency", Json::text("EUR"))])
}

fn address() -> Json {
    let lines =
        [("name", "Ada"), ("line1", "1 Mill Lane"), ("city", "Ulm"), ("postal_code", "89073"), ("country", "DE")];
    Json::object(lines.map(|(name, value)| (name, Json::text(value))))
}

/// Fields that mean something to somebody, with values that are not the usual ones.
const HEADERS: [(&str, &[&str]); 24] = [
    (
        "content-type",
        &[
            "text/plain",
            "application/json; charset=utf-16",
            "application/json;charset=\"UTF-8\"",
            "application/problem+json",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "application/json, text/plain",
            "json",
            "*/*",
        ],
    ),
    ("content-encoding", &["gzip", "identity", "br, gzip", "zstd", "x"]),
    ("content-length", &["0", "1", "-1", "1e3", "99999999999"]),
    ("transfer-encoding", &["chunked", "identity", "Chunked", "x"]),
    ("host", &["", "evil.example", "a b", "127.0.0.1:99999", "[::1]", "user@host"]),
    ("idempotency-key", &["", "\"\"", "\"quoted\"", "\"open", "a\\b", "k;a=1", "again", "' or 1=1"]),
    ("request-timeout-ms", &["0", "1", "5", "-1", "abc", "1.5", "99999999999999999999", "1000", " 7 "]),
    ("if-none-match", &["*", "\"x\"", "W/\"x\"", "x", "\"a\", \"b\""]),
    ("if-match", &["*", "\"0\"", "\"1\"", "W/\"1\"", "1", "\"99999999999999999999\""]),
    ("if-modified-since", &["Sat, 29 Oct 1994 19:43:31 GMT", "yesterday"]),
    ("retry-ticket", &["x", "AAAA", "..", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"]),
    ("expect", &["100-continue", "200-ok"]),
    ("x-request-id", &["x", "<script>", "0190b3a0-7c5e-7abc-8def-0123456789ab0", "{}"]),
    ("connection", &["close", "keep-alive", "upgrade", "te", "host, x-request-id"]),
    ("upgrade", &["h2c", "websocket"]),
    ("accept", &["text/html", "application/xml", "*/*;q=0", ";;"]),
    ("accept-encoding", &["gzip", "identity;q=0", "*"]),
    ("range", &["bytes=0-1", "bytes=-1", "x=1"]),
    ("cookie", &["a=b", "access_token=x"]),
    ("origin", &["http://evil.example", "null"]),
    ("x-forwarded-for", &["1.2.3.4", "1.2.3.4, 5.6.7.8", "::1", "x", "999.1.1.1"]),
    ("forwarded", &["for=1.2.3.4", "for=_x;by=\"[::1]\""]),
    ("traceparent", &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x"]),
    ("te", &["trailers", "gzip"]),
];

const QUERY_VALUES: [&str; 16] = [
    "abc",
    "-1",
    "0",
    "101",
    "1e3",
    "99999999999999999999",
    "",
    "%00",
    "%ff",
    "%",
    "%zz",
    "+",
    "1&limit=2",
    "NEWEST",
    "eyJ2IjoxfQ",
    "AAAAAAAAAAAAAAAAAAAAAAAA",
];

const PATH_PIECES: [&str; 14] =
    ["/", "//", "/..", "/./", "%2e%2e/", "%2f", "%00", "%ff", "%", ";a=1", "?", "??a", "~", "%E2%80%AE"];
