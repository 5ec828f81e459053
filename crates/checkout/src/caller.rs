//! Who asks for a cart or an order: its owner by bearer token, or whoever holds the token of a cart that nobody owns.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use forebay_platform::identity::Principal;
use forebay_platform::problem::{Code, Problem};
use uuid::Uuid;

use crate::State;
use crate::domain::{Cart, CartStatus, CartToken, Order, TokenHash};
use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) user: Option<Uuid>,
    pub(crate) cart_token: Option<TokenHash>,
}

impl Caller {
    /// Whose a request's key is. A guest's is that of the cart's token: who does not have it cannot ask for an answer again.
    pub(crate) fn key_owner(&self) -> Uuid {
        let token = self.cart_token.unwrap_or_default();
        self.user.unwrap_or_else(|| Uuid::from_u128(u128::from_be_bytes(token[..16].try_into().unwrap_or_default())))
    }

    /// Whether the order is the caller's: a guest's is whoever's who holds the token of its cart.
    pub(crate) fn bought(&self, order: &Order, cart_token: Option<TokenHash>) -> bool {
        match order.user_id {
            Some(owner) => self.user == Some(owner),
            None => cart_token.is_some() && self.cart_token == cart_token,
        }
    }

    /// The cart, if it exists and is the caller's: nobody learns of another's.
    pub(crate) fn admitted_to(&self, cart: Option<Cart>) -> Result<Cart, Error> {
        let shown = cart.filter(|cart| cart.status != CartStatus::Merged && self.owns(cart));
        shown.ok_or(Error::NotFound("cart"))
    }

    /// The same, for a change: an ordered cart stays as it was ordered.
    pub(crate) fn may_change(&self, cart: Option<Cart>) -> Result<Cart, Error> {
        let cart = self.admitted_to(cart)?;
        if cart.status == CartStatus::Open { Ok(cart) } else { Err(Error::CartAlreadyOrdered) }
    }

    /// Once a user has claimed a cart, its token opens it no more. To order it is no claim: whoever filled it still sees what
    /// became of it.
    fn owns(&self, cart: &Cart) -> bool {
        let by_token = self.cart_token == Some(cart.token_hash);
        match cart.user_id {
            Some(owner) => self.user == Some(owner) || (by_token && cart.status == CartStatus::Ordered),
            None => by_token,
        }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let principal = <Principal as OptionalFromRequestParts<State>>::from_request_parts(parts, state).await?;
        let cart_token = parts.headers.get("x-cart-token").map(|token| CartToken::hash_of(token.as_bytes()));
        if principal.is_none() && cart_token.is_none() {
            return Err(Problem::new(Code::Unauthenticated).detail("send X-Cart-Token or a bearer token"));
        }
        Ok(Self { user: principal.map(|principal| principal.user_id), cart_token })
    }
}
