//! The whole shop behind real bouncers: it starts, serves what the README shows, and starts again after a kill.

use forebay_embedded::testing::{TestBouncer, database};
use rustix::process::Signal;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::process::{Shop, home, shop};
use crate::readme;

/// Of the 200 that the shared server has: with what a bouncer still has of the last run it would not fit.
const MOST: &str = "150";
const LEAST: &str = "60";
const ROOM: &str = "default_pool_size = 155";

async fn serves_and_starts_again(bouncer: TestBouncer, mode: &str) {
    let (home, database) = (home(), database().await);
    let through = bouncer.options(&database.options()).to_url_lossy().to_string();
    let settings = [
        ("DATABASE_URL", database.url()),
        ("FOREBAY_POOL_URL", &through),
        ("FOREBAY_POOL_BOUNCER", mode),
        ("FOREBAY_POOL_MAX", MOST),
        ("FOREBAY_POOL_MIN", LEAST),
    ];
    let open = async || Shop::start(home.path(), shop(home.path(), &settings)).await;

    let shop = open().await;
    readme::lines_work(&shop).await;
    let mut outside = PgConnection::connect_with(&database.options()).await.unwrap();
    let paid = "SELECT count(*) FROM checkout.orders WHERE status = 'paid'";
    let paid: i64 = sqlx::query_scalar(paid).fetch_one(&mut outside).await.unwrap();
    assert!(paid > 0);

    shop.send(Signal::KILL);
    shop.ended().await;
    let again = open().await;
    readme::lines_work(&again).await;
    again.send(Signal::TERM);
    assert!(again.ended().await.0.success());
}

/// One after another: they share a server, and each may have most of it.
#[tokio::test]
async fn behind_every_bouncer_the_shop_serves_what_the_readme_shows_and_starts_again_after_a_kill() {
    serves_and_starts_again(TestBouncer::pgbouncer("transaction", ROOM).await, "transaction").await;
    serves_and_starts_again(TestBouncer::pgbouncer("session", ROOM).await, "session").await;
    serves_and_starts_again(TestBouncer::pgpool("num_init_children = 155\nmax_pool = 1").await, "session").await;
}
