use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::BenchError;
use crate::requests::journey::{self, VISIT, come, text};
use crate::requests::shop::Shop;
use crate::web::Line;

/// Of the full seed.
const USERS: u32 = 5_000;
const PASSWORD: &str = "correct-horse-battery";
const WORDS: [&str; 6] = ["lamp", "kettle", "quiet tent", "hammer", "sturdy or tall", "repaired"];
const MISSPELLED: [&str; 3] = ["ketle", "hamer", "lampp"];
/// SKUs of an order.
const ITEMS: usize = 5;

/// One who goes through all of a shop, from one address after another.
#[derive(Debug)]
pub(super) struct Visitor {
    line: Line,
    shop: SocketAddr,
    /// Requests on this line.
    asked: u32,
    /// How often it has gone through.
    rounds: u32,
    /// Paths of products, and categories.
    products: Vec<String>,
    categories: Vec<String>,
}

impl Visitor {
    pub(super) async fn come(shop: &Shop) -> Result<Self, BenchError> {
        let shop = shop.address;
        let (line, asked) = (come(shop).await?, 0);
        let mut visitor = Self { line, shop, asked, rounds: 0, products: Vec::new(), categories: Vec::new() };
        let page = visitor.get("/v1/products?limit=100").await?;
        for product in page["data"].as_array().into_iter().flatten() {
            visitor.products.extend([text(product, "id")?, text(product, "slug")?]);
        }
        let tree = visitor.get("/v1/categories").await?;
        slugs(&tree, &mut visitor.categories);
        if visitor.products.is_empty() || visitor.categories.is_empty() {
            return Err(BenchError::turn("the shop sells nothing"));
        }
        Ok(visitor)
    }

    pub(super) async fn go_through(&mut self, rounds: u32) -> Result<(), BenchError> {
        for _ in 0..rounds {
            let round = self.rounds as usize;
            let skus = self.browse(round).await?;
            let tokens = self.log_in().await?;
            self.buy(&skus, &tokens).await?;
            self.rounds += 1;
        }
        Ok(())
    }

    /// SKUs that are in stock.
    async fn browse(&mut self, round: usize) -> Result<Vec<String>, BenchError> {
        let mut skus = Vec::new();
        for number in 0..8 {
            let path = format!("/v1/products/{}", self.products[(7 * round + number) % self.products.len()]);
            let product = self.get(&path).await?;
            let sold = product["skus"].as_array().into_iter().flatten();
            let sold = sold.filter(|sku| {
                sku["availability"]["state"].as_str().or(sku["availability"].as_str()) == Some("in_stock")
            });
            for sku in sold {
                skus.push(text(sku, "sku")?);
            }
        }
        self.pages(&format!("category={}&sort=price_asc", self.categories[round % self.categories.len()])).await?;
        self.pages("sort=newest").await?;
        self.pages("sort=popular").await?;
        let words = WORDS[round % WORDS.len()].replace(' ', "+");
        self.pages(&format!("q={words}")).await?;
        self.pages(&format!("q={}", MISSPELLED[round % MISSPELLED.len()])).await?;
        skus.sort();
        skus.dedup();
        if skus.len() < ITEMS { Err(BenchError::turn("too little is in stock")) } else { Ok(skus) }
    }

    /// The first page of a list, and the second where there is one.
    async fn pages(&mut self, list: &str) -> Result<(), BenchError> {
        let first = self.get(&format!("/v1/products?{list}")).await?;
        if let Some(cursor) = first["page"]["next_cursor"].as_str() {
            self.get(&format!("/v1/products?{list}&cursor={cursor}")).await?;
        }
        Ok(())
    }

    /// The access token of somebody, whose refresh token was used.
    async fn log_in(&mut self) -> Result<String, BenchError> {
        let email = format!("user{:05}@example.test", 1 + self.rounds % USERS);
        let login = json!({ "email": email, "password": PASSWORD });
        let tokens = self.ask("POST", "/v1/auth/login", &[], Some(login), 200).await?;
        let refresh = json!({ "refresh_token": text(&tokens, "refresh_token")? });
        let tokens = self.ask("POST", "/v1/auth/refresh", &[], Some(refresh), 200).await?;
        Ok(format!("Bearer {}", text(&tokens, "access_token")?))
    }

    /// Two orders, of which one is declined; and looks at all of one's own.
    async fn buy(&mut self, skus: &[String], bearer: &str) -> Result<(), BenchError> {
        for (payment, status) in [("tok_ok", 201), ("tok_decline", 422)] {
            let cart = self.ask("POST", "/v1/carts", &[], None, 201).await?;
            let (id, token) = (text(&cart, "id")?, text(&cart, "cart_token")?);
            let opens = ("x-cart-token", token.as_str());
            let at = format!("/v1/carts/{id}");
            for sku in skus.iter().take(ITEMS) {
                self.ask("PUT", &format!("{at}/items/{sku}"), &[opens], Some(json!({ "quantity": 1 })), 200).await?;
            }
            let shown = self.ask("GET", &at, &[opens], None, 200).await?;
            let order = json!({
                "cart_id": id, "cart_version": shown["version"], "expected_total": shown["total"], "payment_token": payment,
                "address": { "name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE" },
            });
            let headers = [("authorization", bearer), opens, ("idempotency-key", id.as_str())];
            self.ask("POST", "/v1/orders", &headers, Some(order), status).await?;
        }
        let own = [("authorization", bearer)];
        let first = self.ask("GET", "/v1/orders", &own, None, 200).await?;
        if let Some(cursor) = first["page"]["next_cursor"].as_str() {
            self.ask("GET", &format!("/v1/orders?cursor={cursor}"), &own, None, 200).await?;
        }
        Ok(())
    }

    async fn get(&mut self, path: &str) -> Result<Value, BenchError> {
        self.ask("GET", path, &[], None, 200).await
    }

    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, BenchError> {
        if self.asked == VISIT {
            (self.line, self.asked) = (come(self.shop).await?, 0);
        }
        self.asked += 1;
        journey::ask(&mut self.line, method, path, headers, body, status).await
    }
}

/// Of all categories of a tree.
fn slugs(tree: &Value, found: &mut Vec<String>) {
    match tree {
        Value::Array(nodes) => nodes.iter().for_each(|node| slugs(node, found)),
        Value::Object(node) => {
            found.extend(node.get("slug").and_then(Value::as_str).map(str::to_owned));
            node.values().for_each(|inner| slugs(inner, found));
        }
        _ => {}
    }
}
