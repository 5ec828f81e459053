//! A shop without a database that can break each promise on purpose.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing.
    Honest,
    /// It forgets the first order that it answered.
    LosesOne,
    /// It answers the first order with another total than it keeps.
    ChangesOne,
    /// It takes a second order for a cart under another key.
    OrdersTwice,
    /// It carries an order out and answers its first request with 504.
    HidesAnswers,
    /// It carries the first order out and answers 500, once.
    FailsOne,
    /// It refuses the first request of each cart, politely.
    Sheds,
    /// It takes no order with a token of a login, as if that had run out early; a renewed one is good.
    MistrustsLogins,
    /// It keeps the first order pending for good.
    NeverSettlesOne,
    /// It has no products.
    Empty,
    /// Nobody can log in.
    Strangers,
}

/// A running one. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct FakeShop {
    pub(crate) at: SocketAddr,
    board: Arc<Board>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Board {
    habit: Habit,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    items: HashMap<String, (String, u64)>,
    /// Orders by key, in the state in which they are read.
    by_key: HashMap<String, Value>,
    by_id: HashMap<String, Value>,
    /// The key of the first order.
    first: Option<String>,
    /// How often each cart or order was asked for so far.
    seen: HashMap<String, u32>,
}

impl FakeShop {
    pub(crate) async fn open(habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let board = Arc::new(Board { habit, books: Mutex::default() });
        let mut serving = JoinSet::new();
        let router = router(Arc::clone(&board));
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { at, board, _serving: serving }
    }

    /// How many orders it has taken.
    pub(crate) fn orders(&self) -> usize {
        self.board.with(|books| books.by_id.len())
    }
}

impl Board {
    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Shared = State<Arc<Board>>;

fn router(board: Arc<Board>) -> Router {
    Router::new()
        .route("/v1/products", get(list))
        .route("/v1/products/{id}", get(product))
        .route("/v1/auth/login", post(log_in))
        .route("/v1/auth/refresh", post(async || Json(tokens("renewed"))))
        .route("/v1/carts", post(new_cart))
        .route("/v1/carts/{id}/items/{sku}", put(put_item))
        .route("/v1/orders", post(order))
        .route("/v1/orders/{id}", get(read_order))
        .with_state(board)
}

fn tokens(access: &str) -> Value {
    json!({ "access_token": access, "token_type": "Bearer", "expires_in": 600, "refresh_token": "refresh" })
}

fn problem(status: u16, code: &str) -> Response {
    let headers = [("retry-after", "1"), ("retry-after-ms", "10")];
    (StatusCode::from_u16(status).unwrap(), headers, Json(json!({ "code": code }))).into_response()
}

async fn list(State(board): Shared) -> Json<Value> {
    let product = json!({ "id": Uuid::from_u128(7), "availability": "in_stock" });
    Json(json!({ "data": if board.habit == Habit::Empty { vec![] } else { vec![product] } }))
}

async fn product(Path(_id): Path<Uuid>) -> Json<Value> {
    Json(json!({ "skus": [{ "sku": "SKU-000001" }, { "sku": "SKU-000002" }] }))
}

async fn log_in(State(board): Shared) -> Response {
    match board.habit {
        Habit::Strangers => problem(401, "invalid-credentials"),
        _ => Json(tokens("first")).into_response(),
    }
}

async fn new_cart() -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({ "id": Uuid::now_v7(), "cart_token": "cart-secret" })))
}

async fn put_item(
    State(board): Shared,
    Path((cart, sku)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let before = board.with(|books| {
        books.items.insert(cart.clone(), (sku, body["quantity"].as_u64().unwrap()));
        count(books, &cart)
    });
    if before == 0 && board.habit == Habit::Sheds {
        return problem(503, "overloaded");
    }
    Json(json!({ "id": cart, "version": 2, "total": { "amount": 1_000, "currency": "EUR" } })).into_response()
}

/// How often it was asked before.
fn count(books: &mut Books, of: &str) -> u32 {
    let count = books.seen.entry(of.to_owned()).or_default();
    *count += 1;
    *count - 1
}

async fn order(State(board): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if board.habit == Habit::MistrustsLogins && headers["authorization"] == "Bearer first" {
        return problem(401, "token-expired");
    }
    let key = headers["idempotency-key"].to_str().unwrap();
    board.with(|books| place(board.habit, books, key, &body))
}

fn place(habit: Habit, books: &mut Books, key: &str, body: &Value) -> Response {
    let cart = body["cart_id"].as_str().unwrap();
    let before = count(books, &format!("order {key}"));
    if !books.by_key.contains_key(key) {
        if key != cart && habit != Habit::OrdersTwice {
            return problem(409, "cart-already-ordered");
        }
        let (sku, quantity) = books.items[cart].clone();
        let order = json!({
            "id": Uuid::now_v7(), "status": "paid", "total": { "amount": 1_000, "currency": "EUR" },
            "address": body["address"], "items": [{ "sku": sku, "quantity": quantity }],
        });
        books.by_id.insert(order["id"].as_str().unwrap().to_owned(), order.clone());
        books.by_key.insert(key.to_owned(), order);
        books.first.get_or_insert(key.to_owned());
    }
    let mut order = books.by_key[key].clone();
    let is_first = books.first.as_deref() == Some(key);
    match habit {
        Habit::HidesAnswers if before == 0 => return problem(504, "deadline-exceeded"),
        Habit::FailsOne if is_first && before == 0 => return problem(500, "internal"),
        Habit::LosesOne if is_first => _ = books.by_id.remove(order["id"].as_str().unwrap()),
        Habit::ChangesOne if is_first => order["total"]["amount"] = json!(999),
        Habit::NeverSettlesOne if is_first => {
            order["status"] = json!("pending_payment");
            books.by_id.insert(order["id"].as_str().unwrap().to_owned(), order.clone());
            return (StatusCode::ACCEPTED, Json(order)).into_response();
        }
        _ => {}
    }
    (StatusCode::CREATED, Json(order)).into_response()
}

async fn read_order(State(board): Shared, Path(id): Path<String>) -> Response {
    match board.with(|books| books.by_id.get(&id).cloned()) {
        Some(order) => Json(order).into_response(),
        None => problem(404, "not-found"),
    }
}
