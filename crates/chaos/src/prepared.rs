//! What users carry into the play: carts, tokens and addresses, put into the database beforehand, so that the mix of
//! requests is the schedule's and nothing else.

use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::client::Ask;
use crate::schedule::{Needs, Operation, Step};
use crate::token::Mint;

/// The seeded users' common password.
const PASSWORD: &str = "correct-horse-battery";
/// Users that log in and buy; each has several sessions and carts.
const USERS: i64 = 200;
/// Units on hand of each SKU: the replay is about places in the pool, so no order may fail for stock.
pub const ON_HAND: i32 = 1_000_000;
const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SORTS: [&str; 3] = ["newest", "popular", "price_asc"];

/// A cart that exists, with the secret that opens it.
#[derive(Clone, Debug)]
struct Cart {
    id: Uuid,
    token: String,
    /// What it costs, in minor units, and in which currency.
    total: (i64, String),
}

/// Everything a schedule needs. Built once per arm.
#[derive(Clone, Debug)]
pub struct Prepared {
    run: String,
    products: Vec<String>,
    skus: Vec<String>,
    emails: Vec<String>,
    bearers: Vec<String>,
    carts: Vec<Cart>,
    order_carts: Vec<Cart>,
    refresh_tokens: Vec<String>,
}

impl Prepared {
    /// Inserts what `needs` asks for, over a connection of the replay's own. `run` makes keys unique to a play.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn insert(conn: &mut PgConnection, needs: Needs, mint: &Mint, run: &str) -> Result<Self, sqlx::Error> {
        let users: Vec<(Uuid, String)> =
            sqlx::query_as("select id, email from auth.users where email like 'user%' order by email limit $1")
                .bind(USERS)
                .fetch_all(&mut *conn)
                .await?;
        let products = strings(
            conn,
            "select slug from catalog.products where status = 'active' order by popularity desc limit 500",
        )
        .await?;
        let skus = strings(conn, "select sku from checkout.inventory order by sku limit 300").await?;
        if users.is_empty() || products.is_empty() || skus.is_empty() {
            return Err(sqlx::Error::RowNotFound);
        }
        sqlx::query("update checkout.inventory set on_hand = $1, reserved = 0")
            .bind(ON_HAND)
            .execute(&mut *conn)
            .await?;
        let owners: Vec<Uuid> = users.iter().map(|(id, _)| *id).collect();
        let carts = insert_carts(conn, needs.carts, &skus).await?;
        let order_carts = insert_carts(conn, needs.orders, &skus).await?;
        let refresh_tokens = insert_sessions(conn, needs.refreshes, &owners).await?;
        sqlx::query("analyze").execute(&mut *conn).await?;
        Ok(Self {
            run: run.to_owned(),
            products,
            skus,
            bearers: owners.iter().map(|user| mint.token(*user)).collect(),
            emails: users.into_iter().map(|(_, email)| email).collect(),
            carts,
            order_carts,
            refresh_tokens,
        })
    }

    /// The request of a step. Retries send the same one, Idempotency-Key included.
    #[must_use]
    pub fn ask(&self, step: &Step) -> Ask {
        let key = step.key;
        match step.operation {
            Operation::List => Ask::get(format!("/v1/products?limit=20&sort={}", chosen(&SORTS, key))),
            Operation::Product => Ask::get(format!("/v1/products/{}", chosen(&self.products, key))),
            Operation::Cart => self.put_item(key),
            Operation::Order => self.order(key),
            Operation::Refresh => {
                let body = json!({ "refresh_token": chosen(&self.refresh_tokens, key) });
                Ask::json(Method::POST, "/v1/auth/refresh", &body)
            }
            Operation::Login => Self::login(chosen::<String>(&self.emails, key)),
        }
    }

    /// A login of the first user, as somebody would try by hand.
    #[must_use]
    pub fn login_by_hand(&self) -> Ask {
        Self::login(chosen::<String>(&self.emails, 0))
    }

    fn login(email: &str) -> Ask {
        Ask::json(Method::POST, "/v1/auth/login", &json!({ "email": email, "password": PASSWORD }))
    }

    fn put_item(&self, key: u32) -> Ask {
        let (cart, sku) = (chosen(&self.carts, key), chosen(&self.skus, key.wrapping_mul(7)));
        let path = format!("/v1/carts/{}/items/{sku}", cart.id);
        Ask::json(Method::PUT, path, &json!({ "quantity": 1 + key % 3 })).header(CART_TOKEN, cart.token.clone())
    }

    fn order(&self, key: u32) -> Ask {
        let cart = chosen(&self.order_carts, key);
        let body = json!({
            "cart_id": cart.id,
            "cart_version": 1,
            "expected_total": { "amount": cart.total.0, "currency": cart.total.1 },
            "payment_token": "tok_ok",
            "address": {
                "name": "A. Buyer", "line1": "1 Canal Street", "city": "Forebay", "postal_code": "10115", "country": "DE",
            },
        });
        Ask::json(Method::POST, "/v1/orders", &body)
            .header(AUTHORIZATION, format!("Bearer {}", chosen(&self.bearers, key)))
            .header(CART_TOKEN, cart.token.clone())
            .header(IDEMPOTENCY_KEY, format!("replay-{}-{key}", self.run))
    }
}

fn chosen<T>(from: &[T], key: u32) -> &T {
    let index = usize::try_from(key).unwrap_or(0) % from.len();
    &from[index]
}

async fn strings(conn: &mut PgConnection, sql: &'static str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_all(conn).await
}

/// Carts with one or two units of one SKU, which belong to whoever has their token: an account has one open cart alone.
async fn insert_carts(conn: &mut PgConnection, count: u32, skus: &[String]) -> Result<Vec<Cart>, sqlx::Error> {
    let count = count.max(1);
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let tokens: Vec<String> = (0..count).map(|_| Uuid::now_v7().simple().to_string()).collect();
    let wanted: Vec<&str> = (0..count).map(|key| chosen(skus, key.wrapping_mul(3)).as_str()).collect();
    let totals: Vec<(i64, String)> = sqlx::query_as(
        "with given as (
             select g.*, (1 + place % 2)::int as quantity
             from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as g(id, token, sku, place)
         ), made as (
             insert into checkout.carts (id, token_hash)
             select id, sha256(convert_to(token, 'UTF8')) from given
         ), filled as (
             insert into checkout.cart_items (cart_id, sku, quantity) select id, sku, quantity from given
         )
         select p.price * given.quantity, p.currency
         from given join catalog.sku_prices p using (sku) order by given.place",
    )
    .bind(&ids)
    .bind(&tokens)
    .bind(&wanted)
    .fetch_all(conn)
    .await?;
    let carts = ids.into_iter().zip(tokens).zip(totals);
    Ok(carts.map(|((id, token), total)| Cart { id, token, total }).collect())
}

/// One session with one unused refresh token each.
async fn insert_sessions(conn: &mut PgConnection, count: u32, owners: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    let tokens: Vec<String> = (0..count.max(1)).map(|_| Uuid::now_v7().simple().to_string()).collect();
    let sessions: Vec<Uuid> = tokens.iter().map(|_| Uuid::now_v7()).collect();
    let users: Vec<Uuid> = (0..count.max(1)).map(|key| *chosen(owners, key)).collect();
    sqlx::query(
        "with given as (
             select * from unnest($1::uuid[], $2::text[], $3::uuid[]) as g(id, token, user_id)
         ), made as (
             insert into auth.sessions (id, user_id, created_at, last_seen_at, absolute_expires_at)
             select id, user_id, now(), now(), now() + interval '30 days' from given returning id
         )
         insert into auth.refresh_tokens (hash, session_id, issued_at, expires_at)
         select sha256(convert_to(token, 'UTF8')), id, now(), now() + interval '14 days' from given join made using (id)",
    )
    .bind(sessions)
    .bind(&tokens)
    .bind(users)
    .execute(conn)
    .await?;
    Ok(tokens)
}
