//! What a journey does, from its arrival to its end. A request that fails for good ends it.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use super::arrivals::{Arrival, Errand};
use super::customer::{Customer, End};
use super::patience::{Meaning, Repeat, Seen};
use super::purchase::{Ended, Promise, Purchase};
use super::route::Route;
use super::session::{Session, login};
use super::wire::{self, Listed, NewCart, OrderView, Page, ProductPage, Shown, Tokens, Word};

const SORTS: [&str; 5] = ["newest", "popular", "price_asc", "price_desc", "name"];

/// What all journeys share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Travellers {
    pub(crate) customer: Customer,
    pub(crate) sessions: Arc<Vec<Session>>,
}

/// A drawn number that several choices are made from.
#[derive(Clone, Copy, Debug)]
struct Chance(u64);

impl Chance {
    /// One of `count`; the next choice is another one.
    fn index(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        let index = self.0 % count;
        self.0 = self.0.rotate_right(11) ^ 0x9e37_79b9_7f4a_7c15;
        usize::try_from(index).unwrap_or(0)
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }
}

impl Travellers {
    /// Runs one errand; its first request should have left at `intended`.
    ///
    /// Dropped, it leaves an order that is under way in the record as unanswered.
    pub(crate) async fn run(&self, arrival: Arrival, intended: Instant) {
        let mut chance = Chance(arrival.chance);
        match arrival.errand {
            Errand::Browse => _ = self.browse(&mut chance, intended).await,
            Errand::Buy => _ = self.buy(&mut chance, intended).await,
            Errand::Renew => self.renew(&mut chance, intended).await,
            Errand::LogIn => self.log_in(&mut chance).await,
        }
    }

    /// A list and one of its products; gives back what can be bought of it.
    async fn browse(&self, chance: &mut Chance, intended: Instant) -> Option<ProductPage> {
        let list = wire::list(SORTS[chance.index(SORTS.len())]);
        let end = self.customer.request_since(intended, Route::List, &list, Repeat::Idempotent).await;
        let Page { data } = end.success()?;
        let plenty: Vec<&Listed> = data.iter().filter(|product| product.is_plenty()).collect();
        let product = chance.of(&plenty).copied().or_else(|| data.first())?;
        let ask = wire::product(product.id);
        self.customer.request(Route::Product, &ask, Repeat::Idempotent).await.success()
    }

    async fn buy(&self, chance: &mut Chance, intended: Instant) -> Option<()> {
        let page = self.browse(chance, intended).await?;
        let sku = &chance.of(&page.skus)?.sku;
        let quantity = if chance.index(2) == 0 { 1 } else { 2 };
        let user = chance.index(self.sessions.len());
        let cart = self.customer.request(Route::NewCart, &wire::new_cart(), Repeat::Unexecuted).await;
        let cart: NewCart = cart.success()?;
        let put = wire::put_item(&cart, sku, quantity);
        let shown: Shown = self.customer.request(Route::PutItem, &put, Repeat::Idempotent).await.success()?;
        self.order(Purchase::new(cart, shown, user, sku, quantity)).await;
        Some(())
    }

    /// Written down before it is sent, so that it is known however this ends.
    async fn order(&self, purchase: Purchase) {
        let (cart, user) = (purchase.cart, purchase.user);
        let (token, shown, key) = (purchase.cart_token.clone(), purchase.shown.clone(), purchase.key());
        let index = self.customer.notebook.with(|record| {
            record.purchases.push(purchase);
            record.purchases.len() - 1
        });
        let end = self.as_user(user, |bearer| wire::order(cart, &token, &shown, &key, bearer)).await;
        let ended = ended(&end);
        self.customer.notebook.with(|record| {
            if let Some(purchase) = record.purchases.get_mut(index) {
                purchase.ended = ended;
            }
        });
    }

    /// Sends an order with the user's token, and once more with a new one if that is refused.
    async fn as_user(&self, user: usize, ask: impl Fn(&Word) -> crate::client::Ask) -> End<OrderView> {
        let session = &self.sessions[user];
        let bearer = session.bearer(&self.customer).await;
        let first = self.customer.request(Route::Order, &ask(&bearer), Repeat::Keyed).await;
        if first.seen.status() != Some(StatusCode::UNAUTHORIZED) {
            return first;
        }
        session.refused(&bearer);
        let bearer = session.bearer(&self.customer).await;
        let second = self.customer.request(Route::Order, &ask(&bearer), Repeat::Keyed).await;
        End { lost: first.lost || second.lost, ..second }
    }

    /// Renews the drawn session, or the next that nobody else is renewing; where all are, they look at products.
    async fn renew(&self, chance: &mut Chance, intended: Instant) {
        let first = chance.index(self.sessions.len());
        let (before, after) = self.sessions.split_at(first);
        match after.iter().chain(before).find_map(Session::try_hold) {
            Some(renewal) => renewal.renew(&self.customer).await,
            None => _ = self.browse(chance, intended).await,
        }
    }

    /// Another session of a user, which nobody goes on with.
    async fn log_in(&self, chance: &mut Chance) {
        if let Some(session) = chance.of(&self.sessions) {
            let _tokens: Option<Tokens> = login(&self.customer, session.email()).await.success();
        }
    }
}

/// What a client knows of its order.
pub(crate) fn ended(end: &End<OrderView>) -> Ended {
    match &end.seen {
        Seen::Good(_, order) => Ended::Promised(Promise::from(order)),
        seen if says_no(seen, end.lost) => Ended::Refused(seen.label()),
        seen => Ended::Unanswered(seen.label()),
    }
}

/// Whether it follows that no order stands. A refusal to this attempt says nothing of one before it whose answer was lost,
/// and neither does a refused token. After 500 work may have been done.
fn says_no<T>(seen: &Seen<T>, lost: bool) -> bool {
    match seen.meaning() {
        Meaning::Refused => !lost,
        Meaning::Final => match seen.status() {
            Some(StatusCode::UNAUTHORIZED) => !lost,
            Some(status) => status.is_client_error(),
            None => false,
        },
        Meaning::Success | Meaning::Running | Meaning::Unclear => false,
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;
    use crate::client::{NoAnswer, Response};

    fn seen(status: u16, body: &'static str) -> Seen<OrderView> {
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Response { status, headers: http::HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }).into()
    }

    #[test]
    fn an_order_is_refused_only_where_nothing_can_stand() {
        let shed = || seen(503, r#"{"code":"draining"}"#);
        let refused = |seen, lost| matches!(ended(&End { seen, lost }), Ended::Refused(_));
        assert!(refused(shed(), false));
        assert!(!refused(shed(), true), "the attempt before it may have been executed");
        assert!(refused(seen(409, r#"{"code":"insufficient-stock"}"#), true));
        assert!(refused(seen(401, "{}"), false));
        assert!(!refused(seen(401, "{}"), true));
        for unclear in [seen(500, "{}"), seen(504, "{}"), seen(201, "{}"), seen(302, "")] {
            assert!(!refused(unclear, false));
        }
        assert!(!refused(Err(NoAnswer::Broken).into(), true));
    }

    #[test]
    fn choices_of_one_journey_are_made_of_different_digits() {
        let mut chance = Chance(12_345_678_901_234_567_890);
        let drawn: std::collections::BTreeSet<usize> = (0..20).map(|_| chance.index(1_000)).collect();
        assert!(drawn.len() > 15, "{drawn:?}");
        assert_eq!(chance.index(0), 0);
        assert_eq!(chance.of::<u8>(&[]), None);
    }
}
