//! What a lease costs in messages: as much as the same statements on a connection without a pool, to the byte.

use std::time::Duration;

use forebay_pool::{Admission, Class, Rules};
use forebay_wire::{Counts, Side};
use futures_util::StreamExt as _;
use sqlx::{Executor as _, PgConnection};

use crate::{Site, admission, answer, eventually, rules, so, trusting, wary};

async fn sites() -> [Site; 2] {
    [Site::new(trusting()).await, Site::unix(trusting()).await]
}

impl Site {
    /// What passed while this ran on a connection without a pool, before the pool had any.
    async fn bare_cost(&self, work: impl AsyncFnOnce(&mut PgConnection)) -> Counts {
        let mut connection = self.bare().await;
        let before = self.proxy.counts();
        work(&mut connection).await;
        let cost = self.proxy.counts().since(&before);
        drop(connection);
        eventually("it has ended", || so(self.proxy.connections().is_empty())).await;
        cost
    }

    /// What passed while this ran on the pool, which had one connection that had run nothing.
    async fn pool_cost(&self, work: impl AsyncFnOnce(&Self)) -> Counts {
        drop(self.lease().await);
        self.settled().await;
        let before = self.proxy.counts();
        work(self).await;
        let snapshot = self.pool.snapshot();
        assert_eq!((snapshot.open(), snapshot.totals.opened, snapshot.totals.quarantined), (1, 1, 0));
        self.proxy.counts().since(&before)
    }
}

async fn one(lease: &mut forebay_pool::Lease) {
    answer(lease).await.expect("answers");
}

async fn one_bare(connection: &mut PgConnection) {
    sqlx::query("select 1").fetch_one(connection).await.expect("answers");
}

#[tokio::test]
async fn a_statement_on_each_of_two_leases_costs_what_two_cost_on_one_connection() {
    for site in sites().await {
        let bare = site
            .bare_cost(async |connection| {
                one_bare(connection).await;
                one_bare(connection).await;
            })
            .await;
        let pooled = site
            .pool_cost(async |site| {
                for _ in 0..2 {
                    one(&mut site.lease().await).await;
                }
            })
            .await;
        assert_eq!(bare.round_trips, 3, "to prepare it, and to run it twice");
        assert_eq!(pooled, bare);
    }
}

#[tokio::test]
async fn a_hundred_empty_leases_cost_nothing() {
    for site in sites().await {
        let cost = site
            .pool_cost(async |site| {
                for _ in 0..100 {
                    drop(site.pool.acquire(&admission()).await.expect("free"));
                    drop(site.pool.try_acquire(&admission()).expect("free"));
                }
            })
            .await;
        assert_eq!(cost, Counts::default());
    }
}

#[tokio::test]
async fn an_error_of_the_servers_costs_nothing_more_than_without_a_pool() {
    for site in sites().await {
        let bare = site
            .bare_cost(async |connection| {
                for _ in 0..3 {
                    sqlx::query("select 1 / 0").execute(&mut *connection).await.expect_err("division by zero");
                    one_bare(connection).await;
                }
            })
            .await;
        let pooled = site
            .pool_cost(async |site| {
                for _ in 0..3 {
                    let mut lease = site.lease().await;
                    sqlx::query("select 1 / 0").execute(&mut *lease).await.expect_err("division by zero");
                    drop(lease);
                    one(&mut site.lease().await).await;
                }
            })
            .await;
        assert_eq!(pooled, bare);
    }
}

#[tokio::test]
async fn errors_at_every_stage_of_a_statement_leave_the_connection_clean() {
    let site = Site::new(trusting()).await;
    drop(site.lease().await);
    let wrong = [
        "select from where",
        "select nothing",
        "select 'a'::int",
        "select (array[1])[1] / 0 from generate_series(1, 3)",
    ];
    for sql in wrong {
        for _ in 0..2 {
            sqlx::query(sql).fetch_all(&site.pool).await.expect_err("it is wrong");
            sqlx::raw_sql(sql).execute(&site.pool).await.expect_err("it is wrong");
            site.pool.prepare(sqlx::SqlStr::from_static(sql)).await.err();
        }
        one(&mut site.lease().await).await;
    }
    let totals = site.pool.snapshot().totals;
    assert_eq!((totals.opened, totals.quarantined), (1, 0));
}

#[tokio::test]
async fn a_transaction_costs_its_begin_and_its_commit() {
    for site in sites().await {
        let bare = site
            .bare_cost(async |connection| {
                for word in ["BEGIN", "COMMIT"] {
                    sqlx::raw_sql(word).execute(&mut *connection).await.expect("done");
                    one_bare(connection).await;
                }
            })
            .await;
        let pooled = site
            .pool_cost(async |site| {
                let mut tx = site.pool.begin().await.expect("begins");
                sqlx::query("select 1").fetch_one(&mut *tx).await.expect("answers");
                tx.commit().await.expect("committed");
                one(&mut site.lease().await).await;
            })
            .await;
        assert_eq!(pooled, bare);
    }
}

#[tokio::test]
async fn a_function_of_somebodys_own_costs_one_round_trip_after_its_lease_and_keeps_what_is_prepared() {
    for site in sites().await {
        let mut outside = site.outside().await;
        outside.execute("create function mine() returns int language sql as 'select 1'").await.expect("done");
        let mine = async || {
            sqlx::query("select mine()").execute(&site.pool).await.expect("answers");
            site.until("it is clean", |snapshot| snapshot.idle == 1).await;
        };
        mine().await;
        let before = site.proxy.counts();
        mine().await;
        let cost = site.proxy.counts().since(&before);
        assert_eq!((cost.round_trips, cost.messages(Side::Frontend, b'Q')), (2, 1), "the statement, and one after it");
        assert_eq!(cost.messages(Side::Frontend, b'P'), 0, "it was prepared");
    }
}

#[tokio::test]
async fn a_requests_deadline_travels_with_the_begin() {
    let site = Site::new(trusting()).await;
    let cost = site
        .pool_cost(async |site| {
            let admission = Admission::within(Class::Normal, Duration::from_secs(4));
            let mut tx = site.pool.begin_with(&admission, None).await.expect("begins");
            sqlx::raw_sql("select 1").execute(&mut *tx).await.expect("answers");
            tx.commit().await.expect("committed");
        })
        .await;
    assert_eq!((cost.round_trips, cost.messages(Side::Frontend, b'Q')), (3, 3), "BEGIN, the statement, COMMIT");
}

#[tokio::test]
async fn a_transaction_that_is_dropped_costs_one_rollback() {
    let site = Site::new(trusting()).await;
    drop(site.lease().await);
    site.settled().await;
    let mut tx = site.pool.begin().await.expect("begins");
    sqlx::query("select 1").fetch_one(&mut *tx).await.expect("answers");
    let before = site.proxy.counts();
    drop(tx);
    site.until("it is clean", |snapshot| snapshot.idle == 1).await;
    let cost = site.proxy.counts().since(&before);
    assert_eq!((cost.round_trips, cost.messages(Side::Frontend, b'Q')), (1, 1));
    assert_eq!(cost.all_frames(Side::Frontend), 1);
}

#[tokio::test]
async fn a_stream_left_half_read_costs_no_message_when_its_answer_was_on_the_way() {
    let site = Site::new(trusting()).await;
    let mut lease = site.lease().await;
    one(&mut lease).await;
    site.settled().await;
    let before = site.proxy.counts();
    let mut rows = (&mut *lease).fetch("select generate_series(1, 1000)");
    rows.next().await.expect("a row").expect("a row");
    drop(rows);
    drop(lease);
    site.until("it is clean", |snapshot| snapshot.idle == 1).await;
    let cost = site.proxy.counts().since(&before);
    assert_eq!((cost.round_trips, cost.all_frames(Side::Frontend)), (1, 1), "the statement's own");
}

#[tokio::test]
async fn an_opening_asks_the_server_one_question_the_first_tries_a_write_too_and_the_control_connection_asks_none() {
    for site in sites().await {
        let first = site.lease().await;
        site.settled().await;
        let opened = site.proxy.counts();
        assert_eq!((opened.dials, opened.ready, opened.round_trips), (2, 2, 4));
        let second = site.lease().await;
        site.settled().await;
        let opened = site.proxy.counts().since(&opened);
        assert_eq!((opened.dials, opened.ready, opened.round_trips), (1, 1, 1));
        drop((first, second));
    }
}

#[tokio::test]
async fn a_check_asks_the_server_one_question() {
    for site in [Site::new(wary()).await, Site::unix(wary()).await] {
        drop(site.lease().await);
        site.settled().await;
        let opened = site.proxy.counts();
        drop(site.lease().await);
        let check = site.proxy.counts().since(&opened);
        assert_eq!((check.dials, check.round_trips, check.all_frames(Side::Frontend)), (0, 1, 1));
    }
}

#[tokio::test]
async fn connections_at_rest_say_nothing() {
    let site = Site::new(Rules { min_idle: 4, ..rules() }).await;
    site.until("four are idle", |snapshot| snapshot.idle == 4).await;
    site.settled().await;
    let before = site.proxy.counts();
    let mut outside = site.outside().await;
    sqlx::query("select pg_sleep(0.5)").execute(&mut outside).await.expect("time passes");
    assert_eq!(site.proxy.counts().since(&before), Counts::default());
}

#[tokio::test]
async fn no_write_outside_a_transaction_is_followed_by_a_question() {
    let site = Site::new(trusting()).await;
    site.outside().await.execute("create table t (n int)").await.expect("done");
    let insert = async |lease: &mut forebay_pool::Lease| {
        let before = site.proxy.counts();
        sqlx::query("insert into t values (1)").execute(&mut **lease).await.expect("stored");
        site.proxy.counts().since(&before).round_trips
    };
    let (mut one, mut two) = (site.lease().await, site.lease().await);
    site.settled().await;
    // To prepare it, and to run it.
    assert_eq!((insert(&mut one).await, insert(&mut one).await), (2, 1));
    assert_eq!((insert(&mut two).await, insert(&mut two).await), (2, 1));
}
