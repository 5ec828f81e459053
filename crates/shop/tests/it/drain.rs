//! What balancers see of a stop.

use rustix::process::Signal;

use crate::{
    client::Http,
    process::{Shop, eventually, home, service},
    serve::filled,
};

async fn catalog(delay: &str) -> (tempfile::TempDir, Shop) {
    let (home, database) = (home(), filled().await);
    let settings = [("FOREBAY_DRAIN_DELAY_MS", delay)];
    let shop = Shop::start(home.path(), service(home.path(), "catalog", database.url(), &settings)).await;
    (home, shop)
}

async fn is_draining(shop: &Shop) {
    eventually("the probe says so", || async {
        let (status, body) = shop.admin.text("/readyz").await.unwrap();
        status == 503 && body.contains("\"status\":\"draining\"")
    })
    .await;
}

#[tokio::test]
async fn while_balancers_notice_a_new_connection_is_served() {
    let (_home, shop) = catalog("3000").await;
    shop.send(Signal::TERM);
    is_draining(&shop).await;
    let (status, page) = Http::new(&shop.address).text("/v1/products?limit=1").await.expect("it still accepts");
    assert_eq!(status, 200, "{page}");
    let (address, (status, said)) = (shop.address.clone(), shop.ended().await);
    assert!(status.success() && said.contains("serving on for 3 s") && said.ends_with("stopped\n"), "{said}");
    assert!(Http::new(&address).text("/v1/products").await.is_none());
}

#[tokio::test]
async fn a_second_signal_ends_the_delay() {
    let (_home, shop) = catalog("80000").await;
    shop.send(Signal::TERM);
    is_draining(&shop).await;
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
}
