//! After the load: every order is looked for. What was promised must be there; what was never answered is asked for again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::customer::{Customer, End};
use super::journey::ended;
use super::patience::{Meaning, Seen};
use super::purchase::{Again, Ended, Found, Purchase};
use super::session::Session;
use super::wire::{self, OrderView, Word};
use crate::client::Ask;
use crate::progress::Progress;

/// Orders that are asked about at the same time.
const AT_ONCE: usize = 8;
/// Between two rounds over what is still open.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(5);
/// Added to the cart's id, it makes a key that no client used.
const OTHER_KEY: &str = "-once-more";

/// Asks about every purchase, in rounds, until each is settled or `patience` passes without news of any: the shop is away
/// then, or what is pending stays pending.
///
/// If the future is dropped, what was found out so far is lost.
pub(crate) async fn read_back(
    customer: &Customer,
    sessions: &[Session],
    purchases: Vec<Purchase>,
    patience: Duration,
    progress: Progress,
) -> Vec<Purchase> {
    let desk = Desk { customer, sessions, news: News { last: Mutex::new(Instant::now()), patience } };
    let (total, mut told) = (purchases.len(), Instant::now());
    let mut all: Vec<Case> = purchases.into_iter().map(Case::open).collect();
    loop {
        all = desk.round(all).await;
        let open = all.iter().filter(|case| case.step != Step::Closed).count();
        if open == 0 || desk.news.is_old() {
            return all.into_iter().map(|case| case.purchase).collect();
        }
        if told.elapsed() >= EVERY {
            told = Instant::now();
            progress.line(format!("         {} of {total} orders are read back, the others asked again", total - open));
        }
        sleep(PAUSE).await;
    }
}

/// A purchase, and what is to be asked about it next.
#[derive(Debug)]
struct Case {
    purchase: Purchase,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Was it placed at all?
    Resolve,
    /// Is it there, and paid?
    Read,
    /// Is it the same if ordered again with its key?
    Repeat,
    /// Is it the only one of its cart?
    Second,
    Closed,
}

impl Case {
    fn open(purchase: Purchase) -> Self {
        let step = match purchase.ended {
            Ended::Promised(_) => Step::Read,
            Ended::Unanswered(_) => Step::Resolve,
            Ended::Refused(_) => Step::Closed,
        };
        Self { purchase, step }
    }
}

/// When something was last found out.
#[derive(Debug)]
struct News {
    last: Mutex<Instant>,
    patience: Duration,
}

impl News {
    fn came(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_old(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.patience
    }
}

/// Asks.
#[derive(Debug)]
struct Desk<'a> {
    customer: &'a Customer,
    sessions: &'a [Session],
    news: News,
}

impl Desk<'_> {
    /// Goes as far as possible with each open case.
    async fn round(&self, cases: Vec<Case>) -> Vec<Case> {
        stream::iter(cases).map(|case| self.advance(case)).buffer_unordered(AT_ONCE).collect().await
    }

    /// Step by step, until one has no answer yet.
    async fn advance(&self, mut case: Case) -> Case {
        while case.step != Step::Closed && !self.news.is_old() {
            let Some(next) = self.step(&mut case).await else { return case };
            self.news.came();
            case.step = next;
        }
        case
    }

    /// The step after this one, if it was answered.
    async fn step(&self, case: &mut Case) -> Option<Step> {
        let purchase = &mut case.purchase;
        match case.step {
            Step::Resolve => self.resolve(purchase).await,
            Step::Read => self.read(purchase).await,
            Step::Repeat => {
                purchase.again = self.order(purchase, &purchase.key()).await;
                known(&purchase.again).then_some(Step::Second)
            }
            Step::Second => {
                purchase.second = self.order(purchase, &format!("{}{OTHER_KEY}", purchase.key())).await;
                known(&purchase.second).then_some(Step::Closed)
            }
            Step::Closed => None,
        }
    }

    async fn resolve(&self, purchase: &mut Purchase) -> Option<Step> {
        let seen = self.send_order(purchase, &purchase.key()).await;
        // An attempt before this one may have been executed.
        purchase.ended = ended(&End { seen, lost: true });
        purchase.late = true;
        match purchase.ended {
            Ended::Promised(_) => Some(Step::Read),
            Ended::Refused(_) => Some(Step::Closed),
            Ended::Unanswered(_) => None,
        }
    }

    async fn read(&self, purchase: &mut Purchase) -> Option<Step> {
        let Ended::Promised(promise) = &purchase.ended else { return Some(Step::Closed) };
        let id = promise.id;
        let seen: Seen<OrderView> = self.ask(purchase.user, |bearer| wire::read_order(id, bearer)).await;
        purchase.found = match seen {
            Seen::Good(_, order) => Found::Order(order),
            seen if seen.status() == Some(StatusCode::NOT_FOUND) => Found::Missing,
            seen => Found::Unread(seen.label()),
        };
        match &purchase.found {
            Found::Order(order) if order.is_pending() => None,
            Found::Order(order) if order.is_paid() => Some(Step::Repeat),
            Found::Order(_) | Found::Missing => Some(Step::Closed),
            Found::Unread(_) => None,
        }
    }

    async fn order(&self, purchase: &Purchase, key: &str) -> Again {
        match self.send_order(purchase, key).await {
            Seen::Good(_, order) => Again::Order(order.id),
            seen if refuses(&seen) => Again::Refused(seen.label()),
            seen => Again::Unasked(seen.label()),
        }
    }

    async fn send_order(&self, purchase: &Purchase, key: &str) -> Seen<OrderView> {
        self.ask(purchase.user, |bearer| wire::order(purchase.cart, &purchase.cart_token, &purchase.shown, key, bearer))
            .await
    }

    /// Once: whatever has no answer is asked again in the next round.
    async fn ask(&self, user: usize, ask: impl Fn(&Word) -> Ask) -> Seen<OrderView> {
        let session = &self.sessions[user];
        let bearer = session.bearer(self.customer).await;
        let seen = Seen::from(self.customer.caller.ask(&ask(&bearer)).await);
        if seen.status() == Some(StatusCode::UNAUTHORIZED) {
            session.refused(&bearer);
        }
        seen
    }
}

/// A client's fault that asking again would not mend.
fn refuses<T>(seen: &Seen<T>) -> bool {
    let status = seen.status().filter(|_| seen.meaning() == Meaning::Final);
    status.is_some_and(|status| status.is_client_error() && status != StatusCode::UNAUTHORIZED)
}

fn known(again: &Again) -> bool {
    !matches!(again, Again::Unasked(_))
}
