//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, Problem};
use forebay_pool::AcquireError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    #[error("the parameter {name} {rule}")]
    InvalidParameter { name: &'static str, rule: &'static str },
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(what) => Self::new(Code::NotFound).detail(format!("no such {what}")),
            Error::InvalidCursor => {
                Self::of_parameter(Code::InvalidCursor, "cursor", "must be the next_cursor of the same list")
            }
            Error::InvalidParameter { name, rule } => Self::of_parameter(Code::InvalidRequest, name, rule),
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
