//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, FieldError, Problem};
use forebay_pool::AcquireError;

use crate::domain::Money;
use crate::payments::Unavailable;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the request breaks a rule")]
    Invalid(Vec<FieldError>),
    #[error("no such {0}, or not the caller's")]
    NotFound(&'static str),
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
            Error::NotFound(what) => Self::new(Code::NotFound).detail(format!("no such {what}")),
            Error::CartAlreadyOrdered => Code::CartAlreadyOrdered.into(),
            Error::ItemUnavailable(skus) => of_skus(Code::ItemUnavailable, &skus)
                .detail("nothing was ordered; remove these lines from the cart, and order the rest"),
            Error::CartChanged { total, changes } => Self::new(Code::CartChanged)
                .detail(format!("nothing was ordered; the cart costs {total} (in minor units) now"))
                .errors(changes),
            Error::OtherVersion(problem) => problem,
            Error::InsufficientStock(skus) => of_skus(Code::InsufficientStock, &skus),
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
