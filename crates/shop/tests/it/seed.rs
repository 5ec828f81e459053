//! `shop seed`, on a database of one's own.

use forebay_embedded::testing::{TestDatabase, database};
use sqlx::{Connection as _, PgConnection};

use crate::process::{home, run, shop};

async fn products(database: &TestDatabase) -> i64 {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM catalog.products").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_shop_is_filled_at_a_scale_and_emptied_only_where_that_is_said_twice() {
    let (home, database) = (home(), database().await);
    let seed = |arguments: &[&str]| {
        let mut command = shop(home.path(), &[("DATABASE_URL", database.url()), ("FOREBAY_SEED", "none")]);
        command.arg("seed").args(arguments);
        run(command)
    };
    let (status, out, err) = seed(&["--scale", "0.1"]).await;
    assert!(status.success() && out.contains("1/") && out.contains("1,000 products"), "{out}{err}");
    assert!(!out.contains('\r'), "no bar where there is no terminal: {out:?}");
    assert_eq!(products(&database).await, 1_000);

    let (status, out, _) = seed(&["--scale", "0.2"]).await;
    assert!(status.success() && out.contains("nothing was filled in"), "{out}");
    for (arguments, part) in [
        (&["--reset"][..], "--yes-delete-everything"),
        (&["--yes-delete-everything"], "--reset"),
        (&["--scale", "11"], "from 0.1 to 10"),
    ] {
        let (status, _, err) = seed(arguments).await;
        assert!(status.code() == Some(2) && err.contains(part), "{arguments:?}: {err}");
    }
    assert_eq!(products(&database).await, 1_000);

    let (status, out, err) = seed(&["--reset", "--yes-delete-everything", "--scale", "0.2"]).await;
    assert!(status.success() && out.contains("the shop is filled"), "{out}{err}");
    assert_eq!(products(&database).await, 2_000);
}
