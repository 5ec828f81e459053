//! The whole shop behind real bouncers: it starts, serves what the README shows, and starts again after a kill.

use forebay_embedded::testing::{TestBouncer, database};
use rustix::process::Signal;
use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::process::{Shop, home, run, shop as shop_command};
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
    let open = async || Shop::start(home.path(), shop_command(home.path(), &settings)).await;

    let shop = open().await;
    readme::lines_work(&shop).await;
    let mut outside = PgConnection::connect_with(&database.options()).await.unwrap();
    let paid = "SELECT count(*) FROM checkout.orders WHERE status = 'paid'";
    let paid: i64 = sqlx::query_scalar(paid).fetch_one(&mut outside).await.unwrap();
    assert!(paid > 0);
    // None of the pool's is claimed, so that more needs no room on the server.
    let (status, grown) = shop.admin.post("/pool", &[], json!({ "max": 190 })).await.unwrap();
    assert_eq!((status.as_u16(), &grown["ceiling"]), (200, &json!(190)), "{grown}");
    let claims = "SELECT application_name FROM pg_stat_activity \
                  WHERE datname = current_database() AND starts_with(application_name, 'forebay-claim/')";
    let claims: Vec<String> = sqlx::query_scalar(claims).fetch_all(&mut outside).await.unwrap();
    assert_eq!(claims, ["forebay-claim/shop/2"]);

    shop.send(Signal::KILL);
    shop.ended().await;
    let mut check = shop_command(home.path(), &settings);
    check.arg("check");
    let (status, said, error) = run(check).await;
    assert!(status.success() && said.contains("the 2 of this process fit"), "{said}{error}");
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
