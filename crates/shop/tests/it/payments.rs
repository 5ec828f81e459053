//! The payment provider's messages, to a shop that runs.

use std::fs::{self, File};
use std::net::TcpListener;

use forebay_platform::webhook::{Message, Secrets, signatures};
use rustix::process::Signal;
use serde_json::json;
use time::OffsetDateTime;

use crate::process::{Shop, eventually, home, shop};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATH: &str = "/v1/payments/webhook";

#[tokio::test]
async fn a_provider_whose_answers_are_all_lost_is_paid_by_the_messages_that_it_sends() {
    let home = home();
    // Somebody else may have it a moment later; then the shop does not open.
    let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{http}{PATH}");
    let settings = [
        ("FOREBAY_HTTP", &*http),
        ("FOREBAY_PAYMENT_LATENCY_MS", "0"),
        ("FOREBAY_PAYMENT_LOST_PERCENT", "100"),
        ("FOREBAY_PAYMENT_WEBHOOK_SECRET", SECRET),
        ("FOREBAY_PAYMENT_WEBHOOK_URL", &url),
        ("FOREBAY_PAYMENT_WEBHOOK_DELAY_MS", "20"),
        ("FOREBAY_PAYMENT_WEBHOOK_DUPLICATE_PERCENT", "100"),
        ("FOREBAY_LOG", "debug"),
    ];
    let (mut command, log) = (shop(home.path(), &settings), home.path().join("log"));
    command.stderr(File::create(&log).unwrap());
    let shop = Shop::start(home.path(), command).await;
    let token = shop.http.register("buyer").await.unwrap();
    let cart = shop.http.cart_of("SKU-000002").await.unwrap();
    let (status, order) = shop.http.order(&token, &cart).await.unwrap();
    assert_eq!(status, 202, "{order}");
    let noted =
        "SELECT count(*) FROM checkout.orders o, checkout.inbox i WHERE o.status = 'paid' AND i.source = 'payments'";
    eventually("the order is paid, by a message", || async {
        sqlx::query_scalar::<_, i64>(noted).fetch_one(&mut shop.database().await).await.unwrap() == 1
    })
    .await;

    let (body, now) = (json!({"type": "payout.paid", "data": "hush"}), OffsetDateTime::now_utc());
    let signed_by = |secret: &str| {
        let secrets: Secrets = secret.parse().unwrap();
        signatures(&secrets, Message { id: "evt_1", body: &body.to_string() }, now)
    };
    for (secret, status) in [(SECRET, 204), ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", 401)] {
        let (time, signature) = (now.unix_timestamp().to_string(), signed_by(secret));
        let headers = [("webhook-id", "evt_1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
        let (answered, problem) = shop.http.post(PATH, &headers, body.clone()).await.unwrap();
        assert_eq!(answered, status, "{problem}");
    }
    shop.send(Signal::TERM);
    assert!(shop.ended().await.0.success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("webhook-signature is not that of"), "{log}");
    let forged = signed_by("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    for kept in [&SECRET["whsec_".len()..], &forged["v1,".len()..], "hush"] {
        assert!(!log.contains(kept), "{kept} is in the log: {log}");
    }
}
