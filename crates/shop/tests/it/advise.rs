//! `shop advise`, on a server of its own that counts statements.

use std::{path::Path, time::Duration};

use axum::{Json, Router, routing::get};
use forebay_embedded::{Server, testing::database};
use forebay_platform::db::Db;
use forebay_pool::{Admission, Class, Pool, Rules};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

use crate::process::{home, run, shop};

/// Its exit code, and what it said.
async fn advise(home: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = shop(home, settings);
    command.arg("advise").args(arguments);
    let (status, out, err) = run(command).await;
    (status.code(), out, err)
}

/// A listener that tells of this pool as the admin listener does.
async fn told(pool: &Pool) -> String {
    let db = Db::forebay(pool.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/pool", get(async move || Json(db.snapshot())));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn pool(url: &str) -> Pool {
    let rules = Rules { min_idle: 0, initial_limit: 4, ceiling: 8, ..Rules::default() };
    Pool::connect(url.parse().unwrap(), forebay_pool::Config { rules, ..forebay_pool::Config::named("advised") })
        .unwrap()
}

/// To plan a statement is to run functions, so that each role has those planned that it runs itself.
async fn each_role_has_its_own_planned(owner: &mut PgConnection, home: &Path, url: &str, guest: &str, admin: &str) {
    sqlx::raw_sql("grant select on parcels to guest").execute(&mut *owner).await.unwrap();
    let mut by_guest = PgConnection::connect(guest).await.unwrap();
    for number in 0..120 {
        let asked = sqlx::query("select buyer from parcels where note = $1").bind(format!("note {number}"));
        asked.fetch_all(&mut by_guest).await.unwrap();
    }
    let as_role = async |url| advise(home, &[("DATABASE_URL", url), ("FOREBAY_ADMIN", admin)], &["--after", "0"]).await;
    let (_, out, _) = as_role(guest).await;
    assert!(out.contains("ON public.parcels (note)"), "{out}");
    let (_, out, _) = as_role(url).await;
    assert!(out.contains("which other roles run") && !out.contains("(note)"), "{out}");

    let older = "drop extension pg_stat_statements; create extension pg_stat_statements version '1.8'";
    sqlx::raw_sql(older).execute(&mut *owner).await.unwrap();
    let (code, out, err) = as_role(url).await;
    assert!(code == Some(0) && out.contains("alter extension pg_stat_statements update"), "{out}{err}");
}

#[tokio::test]
async fn a_holder_of_idle_leases_and_a_dropped_index_are_found_with_what_they_cost() {
    let settings = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
    let server = Server::start_temporary(settings, |_| {}).await.expect("a server with pg_stat_statements");
    let url = server.url("postgres");
    let mut outside = PgConnection::connect(&url).await.unwrap();
    let table = "create extension pg_stat_statements; create table parcels (id int primary key, buyer int, note text); \
        insert into parcels select n, n / 4, 'note ' || n from generate_series(1, 20000) n; \
        create index parcels_buyer on parcels (buyer); analyze parcels; drop index parcels_buyer";
    sqlx::raw_sql(table).execute(&mut outside).await.unwrap();

    let pool = pool(&url).await;
    let admission = || Admission::within(Class::Normal, Duration::from_secs(30));
    let busy = line!() + 2;
    for buyer in 0..120_i32 {
        let mut lease = pool.acquire(&admission()).await.unwrap();
        sqlx::query("select note from parcels where buyer = $1").bind(buyer).fetch_all(&mut *lease).await.unwrap();
    }
    let idle = line!() + 2;
    for _ in 0..20 {
        let mut lease = pool.acquire(&admission()).await.unwrap();
        sqlx::query("select 1").execute(&mut *lease).await.unwrap();
        sleep_until(Instant::now() + Duration::from_millis(100)).await;
    }
    let (home, admin) = (home(), told(&pool).await);
    let settings = [("DATABASE_URL", url.as_str()), ("FOREBAY_ADMIN", admin.as_str())];
    let (code, out, err) = advise(home.path(), &settings, &["--after", "0", "--json"]).await;
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("nothing but JSON: {out}{err}"));
    assert_eq!(code, Some(0), "{err}");
    let (first, second) = (&found["sites"][0], &found["sites"][1]);
    assert!(first["site"].as_str().unwrap().contains(&format!("advise.rs:{idle}:")), "{found}");
    assert!(second["site"].as_str().unwrap().contains(&format!("advise.rs:{busy}:")), "{found}");
    let (held, waited) = (first["connections"].as_f64().unwrap(), first["idle_connections"].as_f64().unwrap());
    let lasted = found["seconds"].as_f64().unwrap();
    assert!(held * lasted >= 2.0 && waited * lasted >= 2.0 && waited <= held && held <= 1.0, "{found}");
    assert_eq!(first["leases"], 20);
    let advice = found["advice"].as_array().unwrap();
    let of =
        |kind: &str| advice.iter().find(|advice| advice["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {found}"));
    assert_eq!(of("release_earlier")["saves"].as_f64(), Some(waited));
    let index = of("index")["what"].as_str().unwrap();
    assert!(index.starts_with("CREATE INDEX CONCURRENTLY ON public.parcels (buyer);"), "{index}");
    let statement = &found["server_statements"].as_array().unwrap().iter().find(|of| of["calls"] == 120).unwrap();
    assert_eq!(
        (&statement["summary"], statement["rows"].as_f64().map(f64::round)),
        (&"SELECT parcels".into(), Some(4.0))
    );

    let indexes: i64 = sqlx::query_scalar("select count(*) from pg_indexes where tablename = 'parcels'")
        .fetch_one(&mut outside)
        .await
        .unwrap();
    assert_eq!(indexes, 1, "it proposes and changes nothing");
    sqlx::raw_sql("create index on parcels (buyer)").execute(&mut outside).await.unwrap();
    let (_, out, _) = advise(home.path(), &settings, &["--after", "0"]).await;
    assert!(!out.contains("CREATE INDEX") && out.contains(&format!("advise.rs:{idle}:")), "{out}");

    // A role without rights is told what it did not see, and nothing of it is an error.
    sqlx::raw_sql("create role guest login password 'guest'").execute(&mut outside).await.unwrap();
    let guest = url.replacen("forebay@", "guest:guest@", 1);
    let settings = [("DATABASE_URL", guest.as_str()), ("FOREBAY_ADMIN", admin.as_str())];
    let (code, out, err) = advise(home.path(), &settings, &["--after", "0"]).await;
    assert!(code == Some(0) && out.contains("grant pg_read_all_stats to \"guest\""), "{out}{err}");

    each_role_has_its_own_planned(&mut outside, home.path(), &url, &guest, &admin).await;
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shop_of_which_little_is_known_gets_no_advice_and_what_is_missing_is_said() {
    let (home, database) = (home(), database().await);
    let pool = pool(database.url()).await;
    let admin = told(&pool).await;
    let settings = [("DATABASE_URL", database.url()), ("FOREBAY_ADMIN", admin.as_str())];
    let (code, out, err) = advise(home.path(), &settings, &[]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("ask again in") && out.contains("alter system set shared_preload_libraries"), "{out}");
    assert!(out.contains("Nothing to change was found") && !out.contains("NaN"), "{out}");

    let nobody = [("DATABASE_URL", "postgres://forebay@127.0.0.1:1/x"), ("FOREBAY_ADMIN", "127.0.0.1:1")];
    let (code, out, _) = advise(home.path(), &nobody, &[]).await;
    assert!(
        code == Some(2) && out.contains("start it, or name the admin listener") && out.contains("DATABASE_URL"),
        "{out}"
    );
    let (code, out, _) = advise(home.path(), &[("FOREBAY_ADMIN", "127.0.0.1:1")], &[]).await;
    assert!(code == Some(2) && out.contains("there is no shop in"), "{out}");
}
