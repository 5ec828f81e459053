use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::shop::Shop;
use crate::BenchError;
use crate::web::Line;

/// What is asked of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journey {
    Product,
    List,
    Login,
    Order,
    /// Some of everything, as [`MIX`] says.
    Mixed,
}

/// Of so many steps of a mixed journey one is a login and three are orders, of three requests each; the others read: a hundred
/// requests in all.
pub(super) const MIX: usize = 94;
const SEARCHES: usize = 10;
const LISTS: usize = 20;
/// What lists are sorted by, and what is searched for.
const SORTS: [&str; 4] = ["popular", "newest", "price_asc", "name"];
const WORDS: [&str; 5] = ["lamp", "kettle", "tent", "hammer", "quiet"];

impl Journey {
    pub(super) const ALL: [Self; 4] = [Self::Product, Self::List, Self::Login, Self::Order];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Product => "`GET /v1/products/{id}`",
            Self::List => "`GET /v1/products?sort=`",
            Self::Login => "`POST /v1/auth/login`",
            Self::Order => "an order: cart, item, `POST /v1/orders`",
            Self::Mixed => "a hundred mixed requests",
        }
    }

    /// As many as take the shop about as long as so many requests for a product.
    pub(super) const fn requests(self, products: usize) -> usize {
        match self {
            Self::Product => products,
            Self::List => products.div_ceil(2),
            Self::Login => products.div_ceil(150),
            Self::Order => products.div_ceil(12),
            Self::Mixed => products.div_ceil(5),
        }
    }
}

/// What a client does before another one comes, from an address of its own: fewer than a shop lets one client do in a minute.
pub(super) const VISIT: u32 = 30;

/// The users of the small seed, and their password.
const USERS: usize = 50;
const PASSWORD: &str = "correct-horse-battery";
/// SKUs of the small seed. One in a hundred is scarce.
const SKUS: usize = 600;
const SCARCE: usize = 50;
/// Lowest prices by which lists are asked for.
const PRICES: usize = 2_000;

/// What a shop has that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Goods {
    products: Vec<String>,
}

impl Goods {
    pub(super) async fn of(shop: SocketAddr) -> Result<Self, BenchError> {
        let mut line = Line::open(shop).await.map_err(BenchError::io("reaching the shop"))?;
        let page = ask(&mut line, "GET", "/v1/products?limit=100", &[], None, 200).await?;
        let ids =
            page["data"].as_array().into_iter().flatten().filter_map(|item| Some(item["id"].as_str()?.to_owned()));
        let products: Vec<_> = ids.collect();
        if products.is_empty() { Err(BenchError::turn("the shop sells nothing")) } else { Ok(Self { products }) }
    }

    /// One of them.
    pub(super) fn product(&self, number: usize) -> &str {
        &self.products[number % self.products.len()]
    }
}

/// One who asks, on a connection that is kept alive.
#[derive(Debug)]
pub(super) struct Client {
    line: Line,
    shop: SocketAddr,
    /// Requests on this line.
    asked: u32,
    journey: Journey,
    goods: Goods,
    bearer: String,
}

impl Client {
    /// Logs in first where it is going to buy: that is not counted.
    pub(super) async fn open(shop: &Shop, journey: Journey, number: usize) -> Result<Self, BenchError> {
        let (line, goods) = (come(shop.address).await?, shop.goods.clone());
        let mut client = Self { line, shop: shop.address, asked: 0, journey, goods, bearer: String::new() };
        if matches!(journey, Journey::Order | Journey::Mixed) {
            client.bearer = format!("Bearer {}", client.login(number).await?);
        }
        Ok(client)
    }

    /// Makes the request of this number.
    pub(super) async fn ask(&mut self, number: usize) -> Result<(), BenchError> {
        if !matches!(self.journey, Journey::Product | Journey::List) && self.asked == VISIT {
            (self.line, self.asked) = (come(self.shop).await?, 0);
        }
        self.asked += 1;
        match self.journey {
            Journey::Product => self.product(number).await,
            Journey::List => self.list(number, "").await,
            Journey::Login => self.login(number).await.map(drop),
            Journey::Order => self.order(number).await,
            Journey::Mixed => match number % MIX {
                0 => self.login(number / MIX).await.map(drop),
                1..=3 => self.order(number).await,
                step if step < 4 + SEARCHES => self.search(number).await,
                step if step < 4 + SEARCHES + LISTS => self.list(number, &dearer_than(number)).await,
                _ => self.product(number).await,
            },
        }
    }

    /// Of the products that `and` leaves.
    async fn list(&mut self, number: usize, and: &str) -> Result<(), BenchError> {
        let path = format!("/v1/products?sort={}{and}", SORTS[number % SORTS.len()]);
        ask(&mut self.line, "GET", &path, &[], None, 200).await.map(drop)
    }

    async fn search(&mut self, number: usize) -> Result<(), BenchError> {
        let path = format!("/v1/products?q={}{}", WORDS[number % WORDS.len()], dearer_than(number));
        ask(&mut self.line, "GET", &path, &[], None, 200).await.map(drop)
    }

    async fn product(&mut self, number: usize) -> Result<(), BenchError> {
        let path = format!("/v1/products/{}", self.goods.product(number));
        ask(&mut self.line, "GET", &path, &[], None, 200).await.map(drop)
    }

    /// The access token.
    async fn login(&mut self, number: usize) -> Result<String, BenchError> {
        let email = format!("user{:05}@example.test", 1 + number % USERS);
        let body = json!({ "email": email, "password": PASSWORD });
        let tokens = ask(&mut self.line, "POST", "/v1/auth/login", &[], Some(body), 200).await?;
        text(&tokens, "access_token")
    }

    async fn order(&mut self, number: usize) -> Result<(), BenchError> {
        let cart = ask(&mut self.line, "POST", "/v1/carts", &[], None, 201).await?;
        let (id, token) = (text(&cart, "id")?, text(&cart, "cart_token")?);
        let sku = 1 + number % SKUS;
        let sku = if sku % 100 == SCARCE { sku + 1 } else { sku };
        let path = format!("/v1/carts/{id}/items/SKU-{sku:06}");
        let opens = ("x-cart-token", token.as_str());
        let shown = ask(&mut self.line, "PUT", &path, &[opens], Some(json!({ "quantity": 1 })), 200).await?;
        let address =
            json!({ "name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE" });
        let mut order = json!({ "cart_id": id, "payment_token": "tok_ok", "address": address });
        // Builds whose carts show no total of a line take no order that names what was shown.
        if shown["items"][0].get("line_total").is_some() {
            order["cart_version"] = shown["version"].clone();
            order["expected_total"] = shown["total"].clone();
        }
        let headers = [("authorization", self.bearer.as_str()), opens, ("idempotency-key", id.as_str())];
        ask(&mut self.line, "POST", "/v1/orders", &headers, Some(order), 201).await.map(drop)
    }
}

/// Which makes each of many pages another.
fn dearer_than(number: usize) -> String {
    format!("&min_price={}", number % PRICES)
}

/// From the next of the addresses that are this machine's own.
pub(super) async fn come(shop: SocketAddr) -> Result<Line, BenchError> {
    static CAME: AtomicU32 = AtomicU32::new(1);
    let [_, rest @ ..] = CAME.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let here = Ipv4Addr::new(127, 1 + rest[0], rest[1], rest[2]);
    Line::open_from(here, shop).await.map_err(BenchError::io("reaching the shop"))
}

pub(super) fn text(answer: &Value, field: &str) -> Result<String, BenchError> {
    let text = answer[field].as_str().map(str::to_owned);
    text.ok_or_else(|| BenchError::turn(format!("an answer has no {field}")))
}

/// The body of the answer, which must have this status.
pub(super) async fn ask(
    line: &mut Line,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
    status: u16,
) -> Result<Value, BenchError> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    let body = body.map_or_else(String::new, |body| body.to_string());
    if !body.is_empty() {
        request.push_str("content-type: application/json\r\n");
    }
    if method != "GET" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.extend(["\r\n", &body]);
    let found = line.send(request.as_bytes()).await.map_err(BenchError::io("asking the shop"))?;
    if found != status {
        let said = String::from_utf8_lossy(line.body()).into_owned();
        return Err(BenchError::turn(format!("{method} {path} was to be answered {status}, and was {found}: {said}")));
    }
    serde_json::from_slice(line.body()).map_err(BenchError::turn)
}
