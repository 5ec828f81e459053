//! Before the load: is it a shop, has it something to sell, can its users log in? What is wrong is said with what to do.

use std::sync::Arc;

use http::StatusCode;

use super::arrivals::Mix;
use super::customer::{Customer, End};
use super::patience::{Problem, Repeat, Seen};
use super::route::Route;
use super::session::Session;
use super::target::Target;
use super::wire::{self, Page, ProductPage};
use crate::client::NoAnswer;

/// Users who are logged in beforehand: the first of the seed.
pub(crate) const USERS: u32 = 10;

/// Why there is nothing to drive.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody listens.
    #[error("nothing answers at {at} ({reason}): start the shop (bin/up), or say with --at where it is")]
    Unreachable {
        /// The address.
        at: Target,
        /// The system's words.
        reason: String,
    },
    /// Something listens and does not speak as a shop does.
    #[error("{at} is no shop: {what}. --at wants the shop's public address (port 8080 unless it was changed)")]
    NoShop {
        /// The address.
        at: Target,
        /// What was asked and what came.
        what: String,
    },
    /// A shop that refuses requests or fails.
    #[error(
        "the shop at {at} does not serve: {what}. Wait until it is ready (/readyz of its admin listener) and see its log"
    )]
    NotServing {
        /// The address.
        at: Target,
        /// What was asked and what came.
        what: String,
    },
    /// A shop with nothing in it.
    #[error("the shop at {at} has {what}: fill it (`bin/up seed`), or begin anew with FOREBAY_SEED=full or small")]
    Empty {
        /// The address.
        at: Target,
        /// What is missing.
        what: String,
    },
}

/// Looks at the shop, and logs users in where the mix needs them.
///
/// # Errors
/// See [`NotReady`].
pub(crate) async fn prepare(customer: &Customer, at: &Target, mix: Mix) -> Result<Arc<Vec<Session>>, NotReady> {
    look(customer, at, mix).await?;
    match mix {
        Mix::Browse => Ok(Arc::default()),
        Mix::Shop => log_in(customer, at).await.map(Arc::new),
    }
}

async fn look(customer: &Customer, at: &Target, mix: Mix) -> Result<(), NotReady> {
    let end: End<Page> = customer.request(Route::List, &wire::list("popular"), Repeat::Idempotent).await;
    let page = answered(end, at, Route::List)?;
    let Some(first) = page.data.first() else {
        return Err(NotReady::Empty { at: at.clone(), what: "no products".to_owned() });
    };
    let end: End<ProductPage> = customer.request(Route::Product, &wire::product(first.id), Repeat::Idempotent).await;
    let product = answered(end, at, Route::Product)?;
    if mix == Mix::Shop && product.skus.is_empty() {
        return Err(NotReady::Empty { at: at.clone(), what: "nothing that could be bought".to_owned() });
    }
    Ok(())
}

/// One after the other: each costs the shop a password hash.
async fn log_in(customer: &Customer, at: &Target) -> Result<Vec<Session>, NotReady> {
    let mut sessions = Vec::new();
    for number in 1..=USERS {
        let email = wire::email(number);
        match Session::open(customer, email.clone()).await {
            Ok(session) => sessions.push(session),
            Err(end) if end.seen.status() == Some(StatusCode::UNAUTHORIZED) => {
                let what = format!("not the users of the seed ({email} cannot log in)");
                return Err(NotReady::Empty { at: at.clone(), what });
            }
            Err(end) => _ = answered(end, at, Route::Login)?,
        }
    }
    Ok(sessions)
}

/// What a 2xx says; everything else is a reason not to begin.
fn answered<T>(end: End<T>, at: &Target, route: Route) -> Result<T, NotReady> {
    let at = at.clone();
    let what = format!("{} was answered with {}", route.name(), end.seen.label());
    match end.seen {
        Seen::Good(_, said) => Ok(said),
        Seen::Nothing(NoAnswer::Unreachable(reason)) => Err(NotReady::Unreachable { at, reason }),
        Seen::Nothing(NoAnswer::TimedOut) => {
            Err(NotReady::NotServing { at, what: format!("{}: {}", route.name(), end.seen.label()) })
        }
        Seen::Nothing(NoAnswer::Broken) => {
            Err(NotReady::NoShop { at, what: format!("it closed the connection on {}", route.name()) })
        }
        Seen::Problem(Problem { status, .. }) if status.is_server_error() => Err(NotReady::NotServing { at, what }),
        Seen::Strange(_) | Seen::Problem(_) => Err(NotReady::NoShop { at, what }),
    }
}
