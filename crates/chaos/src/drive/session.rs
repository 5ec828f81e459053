//! A user who is logged in, and stays it: one session that many journeys share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::customer::{Customer, End};
use super::patience::{Repeat, Seen};
use super::route::Route;
use super::wire::{self, Tokens, Word};

/// A session that could not be renewed is left alone for so long.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Tokens of one user. The access token is renewed when three quarters of its life are over.
#[derive(Debug)]
pub(crate) struct Session {
    email: String,
    access: Mutex<Access>,
    /// The refresh token. Held by whoever uses it: the API asks for one refresh at a time.
    refresh: tokio::sync::Mutex<String>,
}

#[derive(Clone, Debug)]
struct Access {
    token: Word,
    renew_at: Instant,
}

impl From<&Tokens> for Access {
    fn from(tokens: &Tokens) -> Self {
        let life = Duration::from_secs(tokens.expires_in.into());
        Self { token: tokens.access_token.clone(), renew_at: Instant::now() + life * 3 / 4 }
    }
}

impl Session {
    /// Logs in; gives back what came instead where that fails.
    pub(crate) async fn open(customer: &Customer, email: String) -> Result<Self, End<Tokens>> {
        let end = login(customer, &email).await;
        match end.seen {
            Seen::Good(_, tokens) => {
                let access = Mutex::new(Access::from(&tokens));
                Ok(Self { email, access, refresh: tokio::sync::Mutex::new(tokens.refresh_token) })
            }
            seen => Err(End { seen, ..end }),
        }
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    /// An access token that is still good for a while. Where none can be had, the old one: the shop will say what it
    /// thinks of it.
    pub(crate) async fn bearer(&self, customer: &Customer) -> Word {
        if self.access().renew_at <= Instant::now() {
            let mut refresh = self.refresh.lock().await;
            // Whoever held it before may have renewed it.
            if self.access().renew_at <= Instant::now() {
                self.renew(customer, &mut refresh).await;
            }
        }
        self.access().token
    }

    /// Says that the shop refused `token`: the next bearer shall be another one.
    pub(crate) fn refused(&self, token: &Word) {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if access.token == *token {
            access.renew_at = Instant::now();
        }
    }

    /// The right to renew it now, unless somebody else is doing so.
    pub(crate) fn try_hold(&self) -> Option<Renewal<'_>> {
        Some(Renewal { session: self, refresh: self.refresh.try_lock().ok()? })
    }

    async fn renew(&self, customer: &Customer, refresh: &mut String) {
        let end = customer.request(Route::Refresh, &wire::refresh(refresh), Repeat::Idempotent).await;
        let tokens = match end.seen.status() {
            // The session is over.
            Some(StatusCode::UNAUTHORIZED) => login(customer, &self.email).await.success(),
            _ => end.success(),
        };
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens {
            Some(tokens) => {
                *access = Access::from(&tokens);
                *refresh = tokens.refresh_token;
            }
            // Whoever waited for it goes on with the old one: they would only fail one after the other.
            None => access.renew_at = Instant::now() + RENEW_AGAIN_AFTER,
        }
    }

    fn access(&self) -> Access {
        self.access.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A session that nobody else renews meanwhile.
#[derive(Debug)]
pub(crate) struct Renewal<'a> {
    session: &'a Session,
    refresh: MutexGuard<'a, String>,
}

impl Renewal<'_> {
    /// Renews it, by a login where the refresh token is not taken any more.
    pub(crate) async fn renew(mut self, customer: &Customer) {
        self.session.renew(customer, &mut self.refresh).await;
    }
}

/// Harmless if sent twice: the other session is never used.
pub(crate) async fn login(customer: &Customer, email: &str) -> End<Tokens> {
    customer.request(Route::Login, &wire::login(email), Repeat::Idempotent).await
}
