//! Who runs the shop.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::{Principal, Verifier, caller};
use crate::problem::{Code, Problem};
use crate::security::{self, Event};

/// What a token's scope says of those who run the shop.
pub const ADMIN_SCOPE: &str = "admin";

/// The caller, whose token permits what only admins may do. As an extractor it answers 401 without a token, and 403
/// `insufficient-scope` to everybody else's, which is a security event. Let it come before whatever reads more of the
/// request: who is no admin learns nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin(pub Principal);

impl Principal {
    /// Whether the token permits what only admins may do.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.scope.split(' ').any(|scope| scope == ADMIN_SCOPE)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = caller(parts, state).await?.ok_or(Code::Unauthenticated)?;
        if principal.is_admin() {
            return Ok(Self(principal));
        }
        let what = format!("{} {}", parts.method, parts.uri.path());
        security::record(Event::AdminRefused { what: &what }, Some(principal.user_id));
        Err(Code::InsufficientScope.into())
    }
}
