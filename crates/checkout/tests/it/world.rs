use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use forebay_checkout::{Payments, State};
use forebay_embedded::testing::{Template, TestDatabase};
use forebay_platform::admit::{Admit, TimeLimits};
use forebay_platform::db::Db;
use forebay_platform::identity::Verifier;
use forebay_pool::{Config, Mode, Pool, Rules};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::client::{self, Answer, request, send};
use crate::tokens::{self, Token};
use crate::webhooks;

const PATIENCE: Duration = Duration::from_secs(60);

/// A checkout of its own, which sells `SKU-1` to `SKU-120`, a unit of `SKU-n` for n euros.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) state: State,
    pub(crate) db: Db,
    pub(crate) database: TestDatabase,
    keys: AtomicU32,
}

/// A cart with what opens it.
pub(crate) struct Cart {
    pub(crate) id: String,
    pub(crate) token: String,
    /// The cart, as its buyer was shown it last.
    seen: Mutex<Value>,
}

impl Cart {
    /// One that nobody was shown.
    pub(crate) fn of(id: impl Into<String>, token: impl Into<String>) -> Self {
        Self { id: id.into(), token: token.into(), seen: Mutex::new(Value::Null) }
    }

    /// An order of what its buyer was shown last.
    pub(crate) fn order_body(&self, payment: &str) -> Value {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body = order_body(&self.id, payment);
        for (name, shown) in [("cart_version", &seen["version"]), ("expected_total", &seen["total"])] {
            if !shown.is_null() {
                body[name] = shown.clone();
            }
        }
        body
    }

    pub(crate) fn saw(&self, answer: &Answer) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = answer.body.clone();
    }
}

impl World {
    /// With this many units of each SKU.
    pub(crate) async fn with(units: i32) -> Self {
        let database = prepared(units).await;
        // No limit of time is the subject here, so a slow machine must not meet one.
        let rules = Rules { mode: Mode::Off, revoke_after: None, ..Rules::default() };
        let config = Config { rules, acquire_timeout: PATIENCE, session: Vec::new(), ..Config::named("test") };
        let way = database.way().await;
        let pool = Pool::connect(way.options, config.with_settings(way.setting).unwrap()).unwrap();
        let db = Db::forebay(pool);
        Self::on(database, db)
    }

    /// The same over sqlx's own pool.
    pub(crate) async fn stock(units: i32) -> Self {
        let database = prepared(units).await;
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy_with(database.options());
        Self::on(database, Db::stock(pool))
    }

    fn on(database: TestDatabase, db: Db) -> Self {
        let admit = Admit::new(&db, TimeLimits { critical: PATIENCE, normal: PATIENCE });
        let verifier = Verifier::new(tokens::ISSUER, tokens::AUDIENCE, [(tokens::KEY_ID.to_owned(), tokens::PUBLIC)]);
        let payments = Payments::simulated(database.options(), Duration::ZERO, 0);
        let payments = payments.with_patience(PATIENCE).believing(webhooks::secrets());
        let state = State::new(db.clone(), admit, verifier, payments, Duration::from_secs(600));
        let router = forebay_checkout::router(state.clone());
        Self { router, state, db, database, keys: AtomicU32::new(1) }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// A cart that nobody owns, with these quantities of SKUs.
    pub(crate) async fn cart(&self, lines: &[(u32, i64)]) -> Cart {
        let made = self.send(request("POST", "/v1/carts").body(Body::empty()).unwrap()).await;
        assert_eq!(made.status, 201, "{made:?}");
        let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
        let cart = Cart::of(text("id"), text("cart_token"));
        cart.saw(&made);
        for (sku, quantity) in lines {
            let put = self.put(&cart, &format!("SKU-{sku}"), &json!({ "quantity": quantity })).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
        cart
    }

    pub(crate) async fn put(&self, cart: &Cart, sku: &str, body: &Value) -> Answer {
        let path = format!("/v1/carts/{}/items/{sku}", cart.id);
        let put = self.send(client::json(request("PUT", &path).header("x-cart-token", &cart.token), body)).await;
        if put.status == 200 {
            cart.saw(&put);
        }
        put
    }

    /// The cart as its token shows it, which is what its buyer has seen from now on.
    pub(crate) async fn look(&self, cart: &Cart) -> Answer {
        let asked = request("GET", &format!("/v1/carts/{}", cart.id)).header("x-cart-token", &cart.token);
        let shown = self.send(asked.body(Body::empty()).unwrap()).await;
        if shown.status == 200 {
            cart.saw(&shown);
        }
        shown
    }

    /// One line more for each of these SKUs, behind the back of the program.
    pub(crate) async fn fill(&self, cart: &Cart, skus: std::ops::RangeInclusive<i32>, quantity: i32) {
        let lines = "insert into checkout.cart_items (cart_id, sku, quantity) \
                     select $1::uuid, 'SKU-' || n, $4 from generate_series($2, $3) n";
        let lines = sqlx::query(lines).bind(&cart.id).bind(skus.start()).bind(skus.end()).bind(quantity);
        lines.execute(&mut self.connection().await).await.unwrap();
    }

    /// The request of somebody who has logged in, and takes the cart along.
    pub(crate) fn claim(&self, cart: &Cart, user: Uuid) -> Request<Body> {
        let asked = request("POST", &format!("/v1/carts/{}/claim", cart.id)).header("x-cart-token", &cart.token);
        asked.header("authorization", Token::of(user).bearer()).body(Body::empty()).unwrap()
    }

    /// A key that was never used before.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// The request of a buyer who pays for a cart.
    pub(crate) fn order(&self, user: Uuid, key: &str, cart: &Cart, payment: &str) -> Request<Body> {
        let order = request("POST", "/v1/orders")
            .header("authorization", Token::of(user).bearer())
            .header("x-cart-token", &cart.token)
            .header("idempotency-key", format!("\"{key}\""));
        client::json(order, &cart.order_body(payment))
    }

    pub(crate) async fn place(&self, user: Uuid, cart: &Cart, payment: &str) -> Answer {
        self.send(self.order(user, &self.key(), cart, payment)).await
    }

    /// The request of a buyer who pays again for the order at `path`.
    pub(crate) fn payment(&self, user: Uuid, key: &str, path: &str, payment: &str) -> Request<Body> {
        let again = request("POST", &format!("{path}/payment")).header("authorization", Token::of(user).bearer());
        client::json(again.header("idempotency-key", key), &json!({ "payment_token": payment }))
    }

    pub(crate) async fn pay(&self, user: Uuid, path: &str, payment: &str) -> Answer {
        self.send(self.payment(user, &self.key(), path, payment)).await
    }

    /// The request of a buyer who cancels the order at `path`.
    pub(crate) fn cancellation(&self, user: Uuid, key: &str, path: &str) -> Request<Body> {
        let cancel = request("POST", &format!("{path}/cancel")).header("authorization", Token::of(user).bearer());
        cancel.header("idempotency-key", key).body(Body::empty()).unwrap()
    }

    pub(crate) async fn cancel(&self, user: Uuid, path: &str) -> Answer {
        self.send(self.cancellation(user, &self.key(), path)).await
    }

    /// Where an order of these lines is, whose first payment was declined.
    pub(crate) async fn declined(&self, user: Uuid, lines: &[(u32, i64)]) -> String {
        let declined = self.place(user, &self.cart(lines).await, "tok_decline").await;
        assert_eq!(declined.problem(), (422, "payment-declined"), "{declined:?}");
        declined.header("location").to_owned()
    }

    pub(crate) async fn status(&self, user: Uuid, path: &str) -> String {
        let read = self.get(path, user).await;
        assert_eq!(read.status, 200, "{read:?}");
        read.body["status"].as_str().unwrap().to_owned()
    }

    /// Many clients at the same moment, each a task of its own.
    pub(crate) async fn send_at_once(&self, requests: impl IntoIterator<Item = Request<Body>>) -> Vec<Answer> {
        let sent = requests.into_iter().map(|request| {
            let router = self.router.clone();
            tokio::spawn(async move { send(&router, request).await })
        });
        let mut answers = Vec::new();
        for task in sent.collect::<Vec<_>>() {
            answers.push(task.await.unwrap());
        }
        answers
    }

    /// That many carts with the same lines.
    pub(crate) async fn carts(&self, how_many: usize, lines: &[(u32, i64)]) -> Vec<Cart> {
        let mut carts = Vec::with_capacity(how_many);
        for _ in 0..how_many {
            carts.push(self.cart(lines).await);
        }
        carts
    }

    pub(crate) async fn get(&self, path: &str, user: Uuid) -> Answer {
        let asked = request("GET", path).header("authorization", Token::of(user).bearer());
        self.send(asked.body(Body::empty()).unwrap()).await
    }

    /// A request of this admin, with a key that was never used before.
    pub(crate) fn by_admin(&self, admin: Uuid, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let asked = request(method, path)
            .header("authorization", Token::of_admin(admin).bearer())
            .header("idempotency-key", self.key());
        match body {
            Some(body) => client::json(asked, body),
            None => asked.body(Body::empty()).unwrap(),
        }
    }

    pub(crate) async fn admin_gets(&self, path: &str) -> Answer {
        self.send(self.by_admin(Uuid::now_v7(), "GET", path, None)).await
    }

    pub(crate) async fn admin_posts(&self, path: &str, body: &Value) -> Answer {
        self.send(self.by_admin(Uuid::now_v7(), "POST", path, Some(body))).await
    }

    /// Asks as nobody in particular.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        self.send(request("GET", path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&self.database.options()).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.connection().await).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection().await).await.unwrap()
    }

    /// Completes when this many sessions wait for a lock.
    pub(crate) async fn waiting(&self, sessions: i64) {
        let blocked = "select count(*) from pg_stat_activity \
                       where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0";
        let all = async { while self.count(blocked).await < sessions {} };
        tokio::time::timeout(PATIENCE, all).await.unwrap();
    }

    /// On hand and reserved.
    pub(crate) async fn stock_of(&self, sku: u32) -> (i32, i32) {
        sqlx::query_as("select on_hand, reserved from checkout.inventory where sku = 'SKU-' || $1::text")
            .bind(i64::from(sku))
            .fetch_one(&mut self.connection().await)
            .await
            .unwrap()
    }

    /// Gives everything up that is pending: nothing is waited for so long.
    pub(crate) async fn sweep(&self) -> forebay_checkout::Swept {
        forebay_checkout::sweep(&self.state, OffsetDateTime::now_utc() + time::Duration::hours(23)).await.unwrap()
    }

    pub(crate) async fn clean(&self) -> forebay_checkout::Cleaned {
        forebay_checkout::clean(&self.state, OffsetDateTime::now_utc()).await.unwrap()
    }

    /// What is wrong with the books, in words; empty when all of it adds up.
    pub(crate) async fn faults(&self, units: i32) -> Vec<String> {
        let mut connection = self.connection().await;
        let mut faults = Vec::new();
        for (fault, sql) in FAULTS {
            let found: i64 = sqlx::query_scalar(sql).bind(units).fetch_one(&mut connection).await.unwrap();
            if found > 0 {
                faults.push(format!("{fault}: {found}"));
            }
        }
        faults
    }
}

/// An order of an empty cart.
pub(crate) fn order_body(cart_id: &str, payment: &str) -> Value {
    let address =
        json!({ "name": "Ada", "line1": "1 Mill Lane", "city": "Forebay", "postal_code": "12345", "country": "DE" });
    let nothing = json!({ "amount": 0, "currency": "EUR" });
    json!({
        "cart_id": cart_id, "cart_version": 1, "expected_total": nothing, "payment_token": payment, "address": address,
    })
}

static MIGRATED: Template = Template::new();

async fn migrate(database: TestDatabase) {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    // Of the catalog only the schema, as the database would have it: one service does not know another's code.
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/catalog");
    Migrator::new(catalog).await.unwrap().run(&mut connection).await.unwrap();
    forebay_platform::audit::MIGRATOR.run(&mut connection).await.unwrap();
    forebay_checkout::MIGRATOR.run(&mut connection).await.unwrap();
    sqlx::raw_sql(CATALOG).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn prepared(units: i32) -> TestDatabase {
    let database = MIGRATED.database(migrate).await;
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    let stock = "insert into checkout.inventory (sku, on_hand) select 'SKU-' || n, $1 from generate_series(1, 120) n";
    sqlx::query(stock).bind(units).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    database
}

const CATALOG: &str = "insert into catalog.categories (id, slug, name, position) \
     values ('00000000-0000-7000-8000-000000000000', 'things', 'Things', 1); \
     insert into catalog.products (id, slug, name, description, brand, category_id, base_price, currency) \
     values ('00000000-0000-7000-8000-000000000001', 'thing', 'Thing', '', 'Forge', \
             '00000000-0000-7000-8000-000000000000', 100, 'EUR'); \
     insert into catalog.skus (id, sku, product_id, price) \
     select gen_random_uuid(), 'SKU-' || n, '00000000-0000-7000-8000-000000000001', 100 * n \
     from generate_series(1, 120) n";

/// Each counts what must not be there; `$1` is what every SKU had at the start.
const FAULTS: [(&str, &str); 6] = [
    (
        "units that left the shelf and are not in a paid order, or the other way round",
        "select count(*) from checkout.inventory i where i.on_hand <> $1 - (select coalesce(sum(t.quantity), 0) \
         from checkout.order_items t join checkout.orders o on o.id = t.order_id where t.sku = i.sku and o.status = 'paid')",
    ),
    (
        "units reserved for nobody",
        "select count(*) from checkout.inventory i where $1 is not null and i.reserved <> (select coalesce(sum(r.quantity), 0) \
         from checkout.reservations r join checkout.orders o on o.id = r.order_id \
         where r.sku = i.sku and r.state = 'held' and o.status in ('pending_payment', 'payment_failed'))",
    ),
    (
        "charges without a paid order",
        "select count(*) from payment_simulator.charges c left join checkout.orders o on o.id = c.order_id \
         where $1 is not null and c.outcome = 'approved' and c.refunded < c.amount and o.status is distinct from 'paid'",
    ),
    (
        "paid orders without one charge and one payment",
        "select count(*) from checkout.orders o where $1 is not null and o.status = 'paid' and \
         ((select count(*) from payment_simulator.charges c where c.order_id = o.id and c.outcome = 'approved') <> 1 \
         or (select count(*) from checkout.payments p where p.order_id = o.id and p.state = 'succeeded') <> 1)",
    ),
    (
        "orders of which the outbox does not tell, or tells twice, what became of them",
        "select count(*) from checkout.orders o, (values ('placed'), ('paid'), ('payment_failed'), ('expired'), ('cancelled')) w (kind) \
         where $1 is not null and (o.status = w.kind or w.kind = 'placed') and \
         (select count(*) from checkout.outbox e where e.key = o.id and e.topic = 'order.' || w.kind) \
         <> case w.kind when 'payment_failed' then o.attempt else 1 end",
    ),
    (
        "settled orders whose key has no answer",
        "select count(*) from checkout.orders o join checkout.idempotency_keys k on k.order_id = o.id \
         where $1 is not null and o.status <> 'pending_payment' and k.state <> 'done'",
    ),
];
