//! `shop events`: who is told of what happens to orders.

use std::str::FromStr;

use clap::{ArgGroup, Subcommand};
use forebay_checkout::events::{Subscriber, SubscriptionError, Subscriptions, Target, Topics};
use forebay_platform::db::Db;
use sqlx::postgres::PgPoolOptions;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::{
    Config, Failure, Signals,
    console::say,
    database::{DIAL_LIMIT, Database},
    schema, waiting,
};

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Order {
    /// Post events to an address from now on; prints the secret that signs them, once
    Subscribe {
        /// http or https. Whoever may run this command may have anything posted to
        url: Target,
        /// Which, with commas between them: `order.paid`, or with a star at the end what begins so
        #[arg(long, default_value = "*")]
        topics: Topics,
    },
    /// List the subscribers, and what each has still to be told
    List,
    /// End a subscription, and forget what it was not told of
    Unsubscribe {
        /// As `shop events list` shows it
        subscriber: Uuid,
    },
    /// Let a subscriber's events wait
    Pause {
        /// As `shop events list` shows it
        subscriber: Uuid,
    },
    /// Let them go on, at once
    Resume {
        /// As `shop events list` shows it
        subscriber: Uuid,
    },
    /// Give a subscriber a new secret and print it; for a day events are signed with both
    Rotate {
        /// As `shop events list` shows it
        subscriber: Uuid,
    },
    /// Send events again
    #[command(group = ArgGroup::new("which").required(true))]
    Replay {
        /// As `shop events list` shows it
        #[arg(long)]
        subscriber: Uuid,
        /// All since then, also those that it has: 2026-11-27T15:04:05Z, or 90s, 15m, 2h, 7d ago
        #[arg(long, group = "which")]
        since: Option<Since>,
        /// Those that were given up, and so what they keep back
        #[arg(long, group = "which")]
        dead: bool,
    },
    /// Leave out events that were given up, and go on behind them
    Skip {
        /// As `shop events list` shows it
        #[arg(long)]
        subscriber: Uuid,
        /// Those of one order
        #[arg(long)]
        order: Option<Uuid>,
    },
}

/// A moment, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since(OffsetDateTime);

/// Carries it out on the database that `DATABASE_URL` names, or on the embedded server's: on the one that runs, else on one
/// that is started for it. Migrates nothing.
///
/// # Errors
///
/// See [`Failure`].
pub async fn arrange(config: Config, order: &Order, mut signals: Signals) -> Result<(), Failure> {
    let opening = async { Ok(Database::open_or_join(&config, &schema::folder(&config)?, say).await?) };
    Box::pin(schema::on_database(opening, &mut signals, async |database| carry_out(database, order).await)).await
}

async fn carry_out(database: &Database, order: &Order) -> Result<(), Failure> {
    drop(waiting::until_ready(&database.options, DIAL_LIMIT, say).await?);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(DIAL_LIMIT);
    let db = Db::stock(pool.connect_lazy_with(database.options.clone()));
    let done = obey(&Subscriptions::new(db.clone()), order).await;
    db.close(DIAL_LIMIT).await;
    say(&done?);
    Ok(())
}

async fn obey(subscriptions: &Subscriptions, order: &Order) -> Result<String, SubscriptionError> {
    Ok(match order {
        Order::Subscribe { url, topics } => {
            let made = subscriptions.subscribe(url, topics).await?;
            format!("subscriber {}\nsecret     {} (shown this once)", made.id, made.secret.reveal())
        }
        Order::List => {
            let all = subscriptions.list().await?;
            if all.is_empty() {
                return Ok("nobody subscribes: `shop events subscribe URL` does".to_owned());
            }
            all.iter().map(described).collect::<Vec<_>>().join("\n")
        }
        Order::Unsubscribe { subscriber } => {
            subscriptions.unsubscribe(*subscriber).await?;
            "it hears of nothing any more".to_owned()
        }
        Order::Pause { subscriber } => {
            subscriptions.pause(*subscriber).await?;
            "its events wait".to_owned()
        }
        Order::Resume { subscriber } => {
            subscriptions.resume(*subscriber).await?;
            "its events go on".to_owned()
        }
        Order::Rotate { subscriber } => {
            let secret = subscriptions.change_secret(*subscriber).await?;
            format!("secret {} (shown this once; the one before signs too for a day)", secret.reveal())
        }
        Order::Replay { subscriber, since: Some(Since(since)), .. } => {
            format!("{} events are sent again", subscriptions.replay_since(*subscriber, *since).await?)
        }
        Order::Replay { subscriber, .. } => {
            format!("{} events that were given up are sent again", subscriptions.replay_dead(*subscriber).await?)
        }
        Order::Skip { subscriber, order } => {
            format!("{} events are left out", subscriptions.skip_dead(*subscriber, *order).await?)
        }
    })
}

fn described(subscriber: &Subscriber) -> String {
    let Subscriber { id, url, topics, is_paused, failures, waiting, dead, said } = subscriber;
    let state = match (is_paused, failures) {
        (true, _) => "paused".to_owned(),
        (false, 0) => "active".to_owned(),
        (false, failures) => format!("no answer {failures} times in a row"),
    };
    let said = said.as_ref().map(|said| format!(", last: {said}")).unwrap_or_default();
    format!("{id} {url} {}: {state}, {waiting} waiting, {dead} dead{said}", topics.join(","))
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FAULT: &str = "is no time such as 2026-11-27T15:04:05Z, nor an age such as 90s, 15m, 2h or 7d";
        if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self(at));
        }
        let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
        let age = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
        let (number, seconds) = age.ok_or(FAULT)?;
        let number: u32 = number.parse().map_err(|_wrong| FAULT)?;
        let age = Duration::seconds(i64::from(number).saturating_mul(seconds));
        OffsetDateTime::now_utc().checked_sub(age).map(Self).ok_or(FAULT)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_or_an_age_is_understood_and_nothing_else() {
        assert_eq!("2026-11-27T15:04:05Z".parse(), Ok(Since(datetime!(2026-11-27 15:04:05 UTC))));
        let two_hours_ago = || OffsetDateTime::now_utc() - Duration::hours(2);
        let (before, Since(parsed), after) = (two_hours_ago(), "2h".parse().unwrap(), two_hours_ago());
        assert!((before..=after).contains(&parsed), "{parsed}");
        for wrong in ["", "2", "h", "-2h", "2w", "yesterday", "4294967295d", "99999999999s", "2é"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
