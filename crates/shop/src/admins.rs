//! `shop admin`: who runs the shop.

use clap::Subcommand;
use forebay_auth::admins::{self, AdminError, Change};
use forebay_platform::db::Db;
use sqlx::postgres::PgPoolOptions;

use crate::{
    Config, Failure, Signals,
    console::say,
    database::{DIAL_LIMIT, Database},
    schema, waiting,
};

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// Make the account of this address an admin's. It must be registered
    Grant {
        /// As it was registered
        email: String,
    },
    /// Make it a customer's again, and end its sessions
    Revoke {
        /// As it was registered
        email: String,
    },
    /// List those who run the shop
    List,
}

/// Carries it out on the database that `DATABASE_URL` names, or on the embedded server's: on the one that runs, else on one
/// that is started for it. Migrates nothing.
///
/// # Errors
///
/// See [`Failure`].
pub async fn administer(config: Config, order: &Order, mut signals: Signals) -> Result<(), Failure> {
    let opening = Box::pin(async { Ok(Database::open_or_join(&config, &schema::folder(&config)?, say).await?) });
    schema::on_database(opening, &mut signals, async |database| carry_out(database, order).await).await
}

async fn carry_out(database: &Database, order: &Order) -> Result<(), Failure> {
    // No server that was asked to end waits for this one.
    drop(waiting::until_ready(&database.options, DIAL_LIMIT, say).await?);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(DIAL_LIMIT);
    let db = Db::stock(pool.connect_lazy_with(database.options.clone()));
    let done = obey(&db, order).await;
    db.close(DIAL_LIMIT).await;
    Ok(done?)
}

async fn obey(db: &Db, order: &Order) -> Result<(), AdminError> {
    match order {
        Order::Grant { email } => match admins::grant(db, email).await? {
            Change::Made => say(&format!(
                "{email} runs the shop from now on: a login or a refresh gives a token with the scope `admin`"
            )),
            Change::None => say(&format!("{email} runs the shop already")),
        },
        Order::Revoke { email } => match admins::revoke(db, email).await? {
            Change::Made => {
                say(&format!("{email} is a customer from now on, and logged out everywhere within five seconds"));
            }
            Change::None => say(&format!("{email} is a customer already")),
        },
        Order::List => {
            let admins = admins::list(db).await?;
            for admin in &admins {
                say(&format!(
                    "{} {} ({}){}",
                    admin.id,
                    admin.email,
                    admin.name,
                    if admin.disabled { ", disabled" } else { "" }
                ));
            }
            if admins.is_empty() {
                say(
                    "nobody runs the shop yet: `shop admin grant EMAIL` makes an account that is registered an admin's",
                );
            }
        }
    }
    Ok(())
}
