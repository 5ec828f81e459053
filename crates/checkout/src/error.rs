//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, FieldError, Problem};
use forebay_pool::AcquireError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the request breaks a rule")]
    Invalid(Vec<FieldError>),
    #[error("no such {0}, or not the caller's")]
    NotFound(&'static str),
    #[error("the cart was ordered")]
    CartAlreadyOrdered,
    #[error("not enough units of {0:?}")]
    InsufficientStock(Vec<String>),
    #[error("the first request with this key is still running")]
    InFlight,
    #[error("the key belongs to another request")]
    KeyReused,
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error(transparent)]
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
            Error::InsufficientStock(skus) => Self::new(Code::InsufficientStock).errors(short(&skus)),
            Error::InFlight => Code::IdempotencyInFlight.into(),
            Error::KeyReused => Code::IdempotencyKeyReused.into(),
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

fn short(skus: &[String]) -> Vec<FieldError> {
    skus.iter().map(|sku| FieldError::new("/cart_id", "insufficient-stock", sku)).collect()
}
