//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, FieldError, Problem};
use forebay_pool::AcquireError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the request breaks a rule")]
    Invalid(Vec<FieldError>),
    #[error("the slug is taken")]
    SlugTaken,
    #[error("what is at {0:?} is taken")]
    SkuTaken(Vec<String>),
    #[error("another version was meant, or none was named")]
    OtherVersion(Problem),
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

impl Error {
    pub(crate) fn invalid(pointer: &str, rule: &str) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, "invalid-value", rule)])
    }

    pub(crate) fn no_such_category() -> Self {
        Self::invalid("/category", "is no category")
    }

    /// Of a statement that may give a product a slug which another one has.
    pub(crate) fn of_change(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) {
            Some("products_slug_key") => Self::SlugTaken,
            _ => error.into(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(errors) => Self::invalid(errors),
            Error::SlugTaken => taken(Code::SlugTaken, &["/slug".to_owned()]),
            Error::SkuTaken(pointers) => taken(Code::SkuTaken, &pointers),
            Error::OtherVersion(problem) => problem,
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

fn taken(code: Code, pointers: &[String]) -> Problem {
    let fault = |pointer: &String| FieldError::new(pointer, code.as_str(), "is another one's");
    Problem::new(code).errors(pointers.iter().map(fault).collect())
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
