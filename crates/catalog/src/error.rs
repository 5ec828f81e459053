//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, Problem};
use forebay_pool::AcquireError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no such product")]
    NotFound,
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    #[error("limit is outside 1 to 100")]
    InvalidLimit,
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::new(Code::NotFound).detail("no product has this id or slug"),
            Error::InvalidCursor => {
                Self::of_parameter(Code::InvalidCursor, "cursor", "must be the next_cursor of the same list")
            }
            Error::InvalidLimit => {
                Self::of_parameter(Code::InvalidRequest, "limit", "must be a whole number from 1 to 100")
            }
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
