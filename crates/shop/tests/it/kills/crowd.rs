//! Those who use the shop, over all its lives: guests, customers and an admin. They remember what they were told, and ask again,
//! with the same key, when they were told nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::LOCATION;
use http::{Method, StatusCode};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::client::Http;

/// How many ask at once.
const WORKERS: usize = 6;
/// One that nobody can buy empty, and one that everybody can.
const PLENTY: &str = "SKU-000002";
pub(super) const SCARCE: &str = "SKU-000003";
/// Who was refused tries again after this.
const PAUSE: Duration = Duration::from_millis(20);
/// Of all that they were refused or not told, they ask for no more than so much again.
const MOST_AGAIN: usize = 40;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Order,
    PayAgain,
    Cancel,
    Ship,
    Deliver,
    Refund,
    Return,
    Approve,
    Reject,
    Receive,
    Adjust,
}

impl Step {
    /// What has happened to the order when this is answered as done.
    fn event(self) -> Option<&'static str> {
        Some(match self {
            Self::Order | Self::PayAgain => "paid",
            Self::Cancel => "cancelled",
            Self::Ship => "shipped",
            Self::Deliver => "delivered",
            Self::Refund => "refund_succeeded",
            Self::Return => "return_requested",
            Self::Approve => "return_approved",
            Self::Reject => "return_rejected",
            Self::Receive => "return_received",
            Self::Adjust => return None,
        })
    }

    /// Whether its reason is its key, so that its doing twice is seen.
    fn has_reason(self) -> bool {
        matches!(self, Self::Refund | Self::Return | Self::Adjust)
    }
}

#[derive(Clone, Copy, Debug)]
enum Sender {
    Guest,
    Customer(usize),
    Admin,
}

/// A request that may be sent again, since it has a key.
#[derive(Clone, Debug)]
struct Request {
    step: Step,
    sender: Sender,
    cart_token: Option<String>,
    path: String,
    key: String,
    body: Option<Value>,
    about: Option<Bought>,
}

/// An order, and who may speak for it.
#[derive(Clone, Debug)]
struct Bought {
    order: Uuid,
    sku: String,
    buyer: Sender,
    cart_token: String,
}

/// What they know.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Orders that were answered as paid, with their totals.
    pub(super) orders: BTreeMap<Uuid, i64>,
    /// What of an order was answered as done.
    pub(super) events: BTreeSet<(Uuid, &'static str)>,
    /// The reasons of refunds, returns and adjustments that were answered as done.
    pub(super) reasons: BTreeSet<String>,
    /// How often each step was answered in which way; 0 is not at all.
    pub(super) answers: BTreeMap<(Step, u16), usize>,
    /// Answers of all kinds, but those that say that the shop cannot now.
    pub(super) count: usize,
    /// Which order a key has made.
    keys: BTreeMap<String, Uuid>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Crowd(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    dice: StdRng,
    told: Told,
    customers: Vec<String>,
    admin: String,
    /// What follows from what they were told.
    next: Vec<Request>,
    /// What they were not told.
    again: Vec<Request>,
    is_resting: bool,
}

impl Crowd {
    pub(super) fn new(dice: StdRng) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice,
            told: Told::default(),
            customers: Vec::new(),
            admin: String::new(),
            next: Vec::new(),
            again: Vec::new(),
            is_resting: false,
        })))
    }

    /// Their access tokens are good for ten minutes.
    pub(super) fn log_in(&self, customers: Vec<String>, admin: String) {
        let mut state = self.0.lock().unwrap();
        (state.customers, state.admin) = (customers, admin);
    }

    /// They use the shop until it does not answer, or they are to rest.
    pub(super) fn work(&self, http: &Http) -> JoinSet<()> {
        self.0.lock().unwrap().is_resting = false;
        (0..WORKERS).map(|_| self.clone().use_shop(http.clone())).collect()
    }

    pub(super) fn rest(&self) {
        self.0.lock().unwrap().is_resting = true;
    }

    pub(super) fn told<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.0.lock().unwrap().told)
    }

    async fn use_shop(self, http: Http) {
        loop {
            let Some(wish) = self.0.lock().unwrap().wish() else { return };
            let request = match wish {
                Wish::Ask(request) => *request,
                Wish::Buy(lines, sender, token) => match fill(&http, &lines).await {
                    Filled::Cart(cart) => order(&cart, sender, token),
                    Filled::Refused => {
                        sleep(PAUSE).await;
                        continue;
                    }
                    Filled::Nobody => return,
                },
            };
            let answer = self.send(&http, &request).await;
            let status = answer.as_ref().map(|(status, ..)| *status);
            self.0.lock().unwrap().learn(request, answer);
            match status {
                None => return,
                Some(status) if status.is_server_error() => sleep(PAUSE).await,
                Some(_) => {}
            }
        }
    }

    async fn send(&self, http: &Http, request: &Request) -> Option<(StatusCode, String, Value)> {
        let bearer = self.0.lock().unwrap().bearer(request.sender);
        let mut headers = vec![("idempotency-key", request.key.as_str())];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        headers.extend(request.cart_token.as_deref().map(|token| ("x-cart-token", token)));
        let (head, body) = http.whole(Method::POST, &request.path, &headers, request.body.clone()).await?;
        let location = head.headers.get(LOCATION).map_or("", |location| location.to_str().unwrap());
        Some((head.status, location.to_owned(), serde_json::from_slice(&body).unwrap_or_default()))
    }
}

enum Wish {
    Ask(Box<Request>),
    Buy(Vec<(&'static str, u8)>, Sender, &'static str),
}

impl State {
    fn wish(&mut self) -> Option<Wish> {
        if self.is_resting {
            return None;
        }
        let again = self.dice.random_range(0..4) == 0;
        let waiting = if again { &mut self.again } else { &mut self.next };
        if !waiting.is_empty() && self.dice.random_range(0..3) > 0 {
            return Some(Wish::Ask(Box::new(waiting.swap_remove(self.dice.random_range(0..waiting.len())))));
        }
        if self.dice.random_range(0..20) == 0 {
            return Some(Wish::Ask(Box::new(self.adjust())));
        }
        let lines = match self.dice.random_range(0..4) {
            0 => vec![(SCARCE, self.dice.random_range(1..=3))],
            1 => vec![(SCARCE, 1), (PLENTY, 2)],
            _ => vec![(PLENTY, self.dice.random_range(1..=3))],
        };
        let customers = self.customers.len();
        let sender = if self.dice.random_bool(0.5) {
            Sender::Guest
        } else {
            Sender::Customer(self.dice.random_range(0..customers))
        };
        let token = self.payment_token();
        Some(Wish::Buy(lines, sender, token))
    }

    fn payment_token(&mut self) -> &'static str {
        match self.dice.random_range(0..20) {
            0 => "tok_lost",
            1..=5 => "tok_decline",
            _ => "tok_ok",
        }
    }

    fn bearer(&self, sender: Sender) -> Option<String> {
        match sender {
            Sender::Guest => None,
            Sender::Customer(number) => Some(format!("Bearer {}", self.customers[number])),
            Sender::Admin => Some(format!("Bearer {}", self.admin)),
        }
    }

    fn learn(&mut self, request: Request, answer: Option<(StatusCode, String, Value)>) {
        let status = answer.as_ref().map_or(0, |(status, ..)| status.as_u16());
        *self.told.answers.entry((request.step, status)).or_default() += 1;
        let Some((status, location, body)) = answer else { return self.ask_again(request) };
        self.told.count += usize::from(!status.is_server_error());
        match status.as_u16() {
            200 | 201 => self.note(&request, &body),
            422 if body["code"] == "payment-declined" => self.pay_again(request, &location),
            202 | 500 | 503 | 504 => self.ask_again(request),
            409 if body["code"] == "idempotency-in-flight" => self.ask_again(request),
            401 | 404 | 409 => {}
            _ => panic!("{request:?}: {status} {body}"),
        }
    }

    fn ask_again(&mut self, request: Request) {
        if self.again.len() < MOST_AGAIN {
            self.again.push(request);
        }
    }

    /// It is done, and what is done stays done.
    fn note(&mut self, request: &Request, body: &Value) {
        let about = Bought::of(request, body);
        if let Some(event) = request.step.event() {
            self.told.events.insert((about.order, event));
        }
        if request.step.has_reason() {
            self.told.reasons.insert(request.key.clone());
        }
        if matches!(request.step, Step::Order | Step::PayAgain) {
            let (order, total) = (id(&body["id"]), body["total"]["amount"].as_i64().unwrap());
            assert_eq!(*self.told.orders.entry(order).or_insert(total), total, "the total of {order} is another one");
            assert_eq!(*self.told.keys.entry(request.key.clone()).or_insert(order), order, "a key has two orders");
        }
        let next = self.what_follows(request.step, &about, body);
        self.next.extend(next);
    }

    fn what_follows(&mut self, step: Step, about: &Bought, body: &Value) -> Option<Request> {
        match (step, self.dice.random_range(0..10)) {
            (Step::Order | Step::PayAgain, 0..=1) => Some(self.cancel(about)),
            (Step::Order | Step::PayAgain, 2..=3) | (Step::Deliver, 0..=1) => Some(self.refund(about)),
            (Step::Order | Step::PayAgain, 4..=8) => {
                Some(self.by_admin(Step::Ship, about, "orders", about.order, json!({})))
            }
            (Step::Ship, 0..=8) => Some(self.by_admin(Step::Deliver, about, "orders", about.order, Value::Null)),
            (Step::Deliver, _) => Some(self.return_it(about)),
            (Step::Return, 0..=7) => Some(self.by_admin(Step::Approve, about, "returns", id(&body["id"]), Value::Null)),
            (Step::Return, _) => Some(self.by_admin(Step::Reject, about, "returns", id(&body["id"]), Value::Null)),
            (Step::Approve, draw) => {
                let receipt = json!({ "restock": draw < 7 });
                Some(self.by_admin(Step::Receive, about, "returns", id(&body["id"]), receipt))
            }
            _ => None,
        }
    }

    /// An order that was declined; where it is said which.
    fn pay_again(&mut self, request: Request, location: &str) {
        let Some(order) = location.strip_prefix("/v1/orders/").and_then(|order| order.parse().ok()) else { return };
        let about = request.about.clone().unwrap_or_else(|| Bought::at(&request, order));
        let next = match self.dice.random_range(0..10) {
            0..=1 => self.cancel(&about),
            2..=3 => return,
            _ => {
                let token = self.payment_token();
                self.by_buyer(Step::PayAgain, &about, "payment", Some(json!({ "payment_token": token })))
            }
        };
        self.next.push(next);
    }

    fn cancel(&mut self, about: &Bought) -> Request {
        self.by_buyer(Step::Cancel, about, "cancel", None)
    }

    fn return_it(&mut self, about: &Bought) -> Request {
        let mut request = self.by_buyer(Step::Return, about, "returns", None);
        let items = json!([{ "sku": about.sku, "quantity": 1 }]);
        request.body = Some(json!({ "items": items, "reason": request.key }));
        request
    }

    fn by_buyer(&mut self, step: Step, about: &Bought, what: &str, body: Option<Value>) -> Request {
        let sender = about.buyer;
        let cart_token = matches!(sender, Sender::Guest).then(|| about.cart_token.clone());
        let path = format!("/v1/orders/{}/{what}", about.order);
        Request { step, sender, cart_token, path, key: self.key(), body, about: Some(about.clone()) }
    }

    fn by_admin(&mut self, step: Step, about: &Bought, what: &str, of: Uuid, body: Value) -> Request {
        let verb = format!("{step:?}").to_lowercase();
        let body = (!body.is_null()).then_some(body);
        let path = format!("/v1/admin/{what}/{of}/{verb}");
        let (key, about) = (self.key(), Some(about.clone()));
        Request { step, sender: Sender::Admin, cart_token: None, path, key, body, about }
    }

    /// A part of it, so that there may be more.
    fn refund(&mut self, about: &Bought) -> Request {
        let mut request = self.by_admin(Step::Refund, about, "orders", about.order, Value::Null);
        let amount = json!({ "amount": self.dice.random_range(1..300u16), "currency": "EUR" });
        request.body = Some(json!({ "amount": amount, "reason": request.key }));
        request
    }

    /// More of what is scarce.
    fn adjust(&mut self) -> Request {
        let key = self.key();
        let body = Some(json!({ "delta": self.dice.random_range(1..6u8), "reason": key }));
        let path = format!("/v1/admin/inventory/{SCARCE}/adjustments");
        Request { step: Step::Adjust, sender: Sender::Admin, cart_token: None, path, key, body, about: None }
    }

    fn key(&mut self) -> String {
        Uuid::from_u128(self.dice.random()).to_string()
    }
}

impl Bought {
    /// An order that is not known to be paid.
    fn at(request: &Request, order: Uuid) -> Self {
        let cart_token = request.cart_token.clone().unwrap_or_default();
        Self { order, sku: String::new(), buyer: request.sender, cart_token }
    }

    /// What an order's own answer says of it; of an adjustment there is no order.
    fn of(request: &Request, body: &Value) -> Self {
        let mut about = request.about.clone().unwrap_or_else(|| {
            let order = if request.step == Step::Order { id(&body["id"]) } else { Uuid::nil() };
            Self::at(request, order)
        });
        if let Some(sku) = body["items"][0]["sku"].as_str() {
            sku.clone_into(&mut about.sku);
        }
        about
    }
}

/// What became of a cart.
enum Filled {
    Cart(Value),
    Refused,
    Nobody,
}

async fn fill(http: &Http, lines: &[(&'static str, u8)]) -> Filled {
    let Some((status, mut cart)) = http.post("/v1/carts", &[], json!({})).await else { return Filled::Nobody };
    if status != 201 {
        return Filled::Refused;
    }
    let token = cart["cart_token"].clone();
    for (sku, quantity) in lines {
        let path = format!("/v1/carts/{}/items/{sku}", cart["id"].as_str().unwrap());
        let headers = [("x-cart-token", token.as_str().unwrap())];
        let answer = http.json(Method::PUT, &path, &headers, Some(json!({ "quantity": quantity }))).await;
        match answer {
            None => return Filled::Nobody,
            Some((status, filled)) if status == 200 => cart = filled,
            Some(_) => return Filled::Refused,
        }
    }
    cart["cart_token"] = token;
    Filled::Cart(cart)
}

fn order(cart: &Value, sender: Sender, payment_token: &str) -> Request {
    let address =
        json!({ "name": "Ada", "line1": "1 Mill Lane", "city": "Ulm", "postal_code": "89073", "country": "DE" });
    let mut body = json!({
        "cart_id": cart["id"], "cart_version": cart["version"], "expected_total": cart["total"],
        "payment_token": payment_token, "address": address,
    });
    if matches!(sender, Sender::Guest) {
        body["contact_email"] = json!("guest@example.test");
    }
    Request {
        step: Step::Order,
        sender,
        cart_token: Some(cart["cart_token"].as_str().unwrap().to_owned()),
        path: "/v1/orders".to_owned(),
        key: cart["id"].as_str().unwrap().to_owned(),
        body: Some(body),
        about: None,
    }
}

fn id(value: &Value) -> Uuid {
    value.as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id: {value}"))
}
