//! Each fault starts and stops, and ends by itself when nobody stops it.

use forebay_chaos::arm::Arm;
use forebay_chaos::client::{Ask, Caller};
use forebay_chaos::fault::{FaultView, HoldersOrder};
use forebay_chaos::progress::Progress;
use forebay_chaos::sampler::pool_now;
use forebay_chaos::stage::Stage;
use http::Method;
use serde_json::{Value, json};

use crate::{eventually, program};

async fn holding(admin: &Caller) -> u32 {
    let answer = admin.attempt(&Ask::get("/chaos")).await;
    serde_json::from_slice::<FaultView>(&answer.body).unwrap().holding
}

async fn metric(admin: &Caller) -> String {
    let answer = admin.attempt(&Ask::get("/metrics")).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    text.lines().find(|line| line.starts_with("chaos_fault_active")).unwrap_or_default().to_owned()
}

fn holders(ttl_ms: u64) -> Value {
    json!(HoldersOrder { count: 3, every_ms: 5, sleep_ms: Some(60_000), ttl_ms })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_start_stop_and_run_out_and_the_action_enlarges_the_pool() {
    let stage = Stage::start(Arm::Legacy, program(), 0, Progress::quiet()).await.unwrap();
    let admin = Caller::new(stage.child.ports.admin);

    assert!(stage.child.order(Method::POST, "/chaos/holders", &holders(60_000)).await);
    eventually("three jobs hold a lease", async || holding(&admin).await == 3).await;
    // The sweeper borrows for a moment now and then.
    eventually("only theirs are out", async || pool_now(&admin, 0.0).await.unwrap().in_use == 3).await;
    assert!(metric(&admin).await.ends_with(" 1"), "{}", metric(&admin).await);
    assert!(stage.child.order(Method::DELETE, "/chaos/holders", &Value::Null).await);
    eventually("the leases are back", async || pool_now(&admin, 0.0).await.unwrap().in_use == 0).await;
    assert!(metric(&admin).await.ends_with(" 0"), "{}", metric(&admin).await);

    assert!(stage.child.order(Method::POST, "/chaos/holders", &holders(500)).await);
    eventually("three jobs hold a lease", async || holding(&admin).await == 3).await;
    eventually("their time is over", async || holding(&admin).await == 0).await;

    let action = json!({ "size": 40, "idle_in_transaction_ms": 1000 });
    assert!(stage.child.order(Method::POST, "/chaos/replace-pool", &action).await);
    assert_eq!(pool_now(&admin, 0.0).await.unwrap().limit, 40);
    assert_eq!(stage.stop().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_pool_names_a_holder_and_takes_its_place_back() {
    let stage = Stage::start(Arm::Resilient, program(), 0, Progress::quiet()).await.unwrap();
    let admin = Caller::new(stage.child.ports.admin);
    assert!(stage.child.order(Method::POST, "/chaos/holders", &holders(60_000)).await);
    eventually("a report job is named by its call site", async || {
        let pool = pool_now(&admin, 0.0).await.unwrap();
        pool.suspects == 3 && pool.holders.iter().any(|site| site.contains("fault/job.rs"))
    })
    .await;
    eventually("their places are taken back", async || pool_now(&admin, 0.0).await.unwrap().revoked == 3).await;
    assert_eq!(stage.stop().await.unwrap(), Vec::<String>::new());
}
