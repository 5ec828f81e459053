//! What can go wrong here, and the line of the table each is.

use axum::response::{IntoResponse, Response};
use forebay_platform::problem::{Code, FieldError, Problem};
use forebay_platform::quota::Spent;
use forebay_pool::AcquireError;

use crate::lane::Full;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the body breaks a rule")]
    Invalid(Vec<FieldError>),
    #[error("the address has an account")]
    EmailTaken,
    #[error("no such user, or another password")]
    InvalidCredentials,
    #[error("the account is closed")]
    AccountClosed,
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("the query breaks a rule")]
    Page(Problem),
    #[error("a change without the version that it is for, or for another one")]
    OtherVersion(Problem),
    #[error("no such refresh token, or it is expired or revoked")]
    RefreshTokenInvalid,
    #[error("the refresh token was used before")]
    RefreshTokenReused,
    #[error("too many wrong passwords, or attempts")]
    Throttled(Spent),
    #[error("all places for hashing are taken")]
    HashingFull,
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("{}", forebay_pool::describe(.0))]
    Store(#[from] sqlx::Error),
}

impl From<Spent> for Error {
    fn from(spent: Spent) -> Self {
        Self::Throttled(spent)
    }
}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Self::HashingFull
    }
}

impl Error {
    /// A new password that stands in this place of the body, and would be found by guessing.
    pub(crate) fn guessable(pointer: &str) -> Self {
        Self::invalid(pointer, "is too easily guessed: common, or made of your name or address")
    }

    pub(crate) fn invalid(pointer: &str, rule: &str) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, "invalid-value", rule)])
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(errors) => Self::invalid(errors),
            Error::EmailTaken => Code::EmailTaken.into(),
            Error::InvalidCredentials => Code::InvalidCredentials.into(),
            Error::AccountClosed => Self::new(Code::Unauthenticated).detail("the account is closed"),
            Error::NotFound(what) => Self::new(Code::NotFound).detail(format!("no such {what}")),
            Error::Page(problem) | Error::OtherVersion(problem) => problem,
            Error::RefreshTokenInvalid => Code::RefreshTokenInvalid.into(),
            Error::RefreshTokenReused => Code::RefreshTokenReused.into(),
            Error::Throttled(spent) => Self::spent(spent),
            Error::HashingFull => Self::new(Code::Overloaded).detail("too many logins at once; nothing was executed"),
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
