//! What the shop's answers say, as far as a journey reads them, and the requests made of it.

use std::fmt;

use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::client::Ask;

/// The seeded users' common password.
const PASSWORD: &str = "correct-horse-battery";
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Text of the shop's that goes into a path or a header as it is: letters, digits, `-`, `.`, `_`, `~`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Word(String);

impl Word {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Word {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !text.is_empty() && text.bytes().all(holds) { Ok(Self(text)) } else { Err("not a word") }
    }
}

/// It may be a secret.
impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Word")
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) data: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    availability: String,
}

impl Listed {
    /// Whether there is plenty of it: a scarce one may be gone before it is ordered, and rightly so.
    pub(crate) fn is_plenty(&self) -> bool {
        self.availability == "in_stock"
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ProductPage {
    pub(crate) skus: Vec<Sku>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sku {
    pub(crate) sku: Word,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewCart {
    pub(crate) id: Uuid,
    pub(crate) cart_token: Word,
}

/// What a buyer is shown of the cart, and names in the order: what is in it, and what that costs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Shown {
    version: i64,
    total: Money,
}

#[cfg(test)]
impl Shown {
    /// Of a new cart with one line.
    pub(crate) fn first(total: Money) -> Self {
        Self { version: 2, total }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: Word,
    pub(crate) refresh_token: String,
    /// Seconds.
    pub(crate) expires_in: u32,
}

/// Minor units and a currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Money {
    /// Such as cents.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// An order as the shop answers it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OrderView {
    /// Its id.
    pub id: Uuid,
    /// Such as `paid`.
    pub status: String,
    /// What it costs.
    pub total: Money,
    /// Where it goes.
    pub address: Address,
    /// What it holds.
    pub items: Vec<Item>,
    /// What became of its money; only told by reading the order back.
    #[serde(default)]
    pub payments: Vec<Payment>,
}

/// One attempt to collect an order's money.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// Such as `succeeded`, or `voided` for one that was never charged and never will be.
    pub state: String,
}

/// The part of an address that an order is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// Names the cart: the shop's answer about an order does not.
    pub line2: Option<String>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
}

/// What an order of this cart has as the second line of its address.
pub(crate) fn mark_of(cart: Uuid) -> String {
    format!("cart {cart}")
}

pub(crate) fn list(sort: &str) -> Ask {
    Ask::get(format!("/v1/products?limit=20&sort={sort}"))
}

pub(crate) fn product(id: Uuid) -> Ask {
    Ask::get(format!("/v1/products/{id}"))
}

/// The `number`-th user of the seed, counted from one.
pub(crate) fn email(number: u32) -> String {
    format!("user{number:05}@example.test")
}

pub(crate) fn login(email: &str) -> Ask {
    Ask::json(Method::POST, "/v1/auth/login", &json!({ "email": email, "password": PASSWORD }))
}

pub(crate) fn refresh(token: &str) -> Ask {
    Ask::json(Method::POST, "/v1/auth/refresh", &json!({ "refresh_token": token }))
}

pub(crate) fn new_cart() -> Ask {
    Ask { method: Method::POST, path: "/v1/carts".to_owned(), headers: Vec::new(), body: None }
}

pub(crate) fn put_item(cart: &NewCart, sku: &Word, quantity: u32) -> Ask {
    let path = format!("/v1/carts/{}/items/{}", cart.id, sku.as_str());
    Ask::json(Method::PUT, path, &json!({ "quantity": quantity })).header(CART_TOKEN, cart.cart_token.as_str())
}

/// The same arguments make the same order.
pub(crate) fn order(cart: Uuid, cart_token: &Word, shown: &Shown, key: &str, bearer: &Word) -> Ask {
    let body = json!({
        "cart_id": cart,
        "cart_version": shown.version,
        "expected_total": shown.total,
        "payment_token": "tok_ok",
        "address": {
            "name": "A. Buyer", "line1": "1 Canal Street", "line2": mark_of(cart), "city": "Forebay",
            "postal_code": "10115", "country": "DE",
        },
    });
    Ask::json(Method::POST, "/v1/orders", &body)
        .header(AUTHORIZATION, format!("Bearer {}", bearer.as_str()))
        .header(CART_TOKEN, cart_token.as_str())
        .header(IDEMPOTENCY_KEY, key)
}

pub(crate) fn read_order(id: Uuid, bearer: &Word) -> Ask {
    Ask::get(format!("/v1/orders/{id}")).header(AUTHORIZATION, format!("Bearer {}", bearer.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_out_of_a_path_or_a_header_is_no_word() {
        for text in ["", "a b", "a/b", "a?b", "a#b", "a\r\nb", "ä"] {
            assert!(Word::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Word::try_from("eyJh.SKU-000001_~".to_owned()).is_ok());
    }
}
