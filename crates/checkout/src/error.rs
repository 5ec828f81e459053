//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, FieldError, Problem};
use forebay_pool::AcquireError;

use crate::domain::{Money, ReturnState, Status, Stock};
use crate::payments::{Unavailable, Unknown};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the request breaks a rule")]
    Invalid(Vec<FieldError>),
    #[error("the parameter {name} {rule}")]
    InvalidParameter { name: &'static str, rule: &'static str },
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    #[error("no such {0}, or not the caller's")]
    NotFound(&'static str),
    #[error("the query breaks a rule")]
    Page(Problem),
    #[error("the order is {0:?}, from where this does not lead on")]
    OrderState(Status),
    #[error("only {left} {currency} are left of the payment")]
    NotLeft { left: i64, currency: String },
    #[error("not so much is on the shelf, or free: {0:?}")]
    NotOnShelf(Stock),
    #[error("the cart was ordered")]
    CartAlreadyOrdered,
    #[error("{0:?} are not sold any more")]
    ItemUnavailable(Vec<String>),
    #[error("the cart costs {total} now, and is not what the buyer saw: {changes:?}")]
    CartChanged { total: Money, changes: Vec<FieldError> },
    #[error("it has changed since it was read")]
    OtherVersion(Problem),
    #[error("not enough units of {0:?}")]
    InsufficientStock(Vec<String>),
    #[error("the return is {}", .0.as_str())]
    ReturnState(ReturnState),
    #[error("somebody else has moved it meanwhile")]
    Moved,
    #[error("the provider does not say what became of the payment: {0}")]
    Unknown(#[from] Unknown),
    #[error("the first request with this key is still running")]
    InFlight,
    #[error("the key belongs to another request")]
    KeyReused,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

impl Error {
    pub(crate) fn invalid(pointer: &str, rule: &str) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, "invalid-value", rule)])
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(errors) => Self::invalid(errors),
            Error::InvalidParameter { name, rule } => Self::of_parameter(Code::InvalidRequest, name, rule),
            Error::InvalidCursor => {
                Self::of_parameter(Code::InvalidCursor, "cursor", "must be the cursor of the last answer")
            }
            Error::NotFound(what) => Self::new(Code::NotFound).detail(format!("no such {what}")),
            Error::Page(problem) => problem,
            Error::OrderState(status) => Self::new(Code::OrderStateConflict)
                .detail(format!("the order is {}; nothing was changed", status.as_str())),
            Error::NotLeft { left, currency } => Self::new(Code::OrderStateConflict).detail(format!(
                "{left} {currency} (in minor units) are left of what was paid; nothing was given back"
            )),
            Error::NotOnShelf(Stock { on_hand, reserved }) => Self::new(Code::InsufficientStock).detail(format!(
                "{on_hand} on hand, {reserved} of them reserved: no more than the rest can be taken away"
            )),
            Error::CartAlreadyOrdered => Code::CartAlreadyOrdered.into(),
            Error::ItemUnavailable(skus) => of_skus(Code::ItemUnavailable, &skus)
                .detail("nothing was ordered; remove these lines from the cart, and order the rest"),
            Error::CartChanged { total, changes } => Self::new(Code::CartChanged)
                .detail(format!("nothing was ordered; the cart costs {total} (in minor units) now"))
                .errors(changes),
            Error::OtherVersion(problem) => problem,
            Error::InsufficientStock(skus) => of_skus(Code::InsufficientStock, &skus),
            Error::ReturnState(state) => Self::new(Code::OrderStateConflict)
                .detail(format!("the return is {}; nothing was changed", state.as_str())),
            Error::Moved => Self::new(Code::OrderStateConflict).detail("somebody else has moved it meanwhile"),
            Error::Unknown(_) => Self::new(Code::DeadlineExceeded)
                .detail("the payment provider does not answer; send it again with the same key"),
            Error::InFlight => Code::IdempotencyInFlight.into(),
            Error::KeyReused => Code::IdempotencyKeyReused.into(),
            Error::Unavailable(Unavailable { retry_after }) => Self::new(Code::DependencyUnavailable)
                .detail("the payment provider does not answer; nothing was executed")
                .retry_after(retry_after),
            Error::Acquire(error) => error.into(),
            Error::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn of_skus(code: Code, skus: &[String]) -> Problem {
    Problem::new(code).errors(skus.iter().map(|sku| FieldError::new("/cart_id", code.as_str(), sku)).collect())
}
