//! A load on a real shop, which keeps its promises, and on one that breaks each of them in turn.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use forebay_chaos::arm::Arm;
use forebay_chaos::drive::arrivals::Mix;
use forebay_chaos::drive::judgement::{Failures, Fault, Judgement};
use forebay_chaos::drive::preparation::NotReady;
use forebay_chaos::drive::report::Report;
use forebay_chaos::drive::{self, DriveError, Plan};
use forebay_chaos::progress::Progress;
use forebay_chaos::stage::Stage;
use forebay_chaos::stop::Stop;
use forebay_chaos::verdict::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::fake_shop::{FakeShop, Habit};
use crate::{eventually, program};

/// Two seconds of load. Nobody is late: whether this machine is busy proves nothing here.
fn plan(at: SocketAddr, failures: Failures) -> Plan {
    Plan {
        at: at.to_string().parse().unwrap(),
        seconds: 2.0,
        rate: 30.0,
        mix: Mix::Shop,
        failures,
        seed: 1,
        out: None,
        punctual: Duration::from_secs(3600),
        patience: Duration::from_secs(60),
        command: String::new(),
    }
}

async fn run(plan: &Plan) -> Result<Report, DriveError> {
    drive::run(plan, &Stop::never(), Progress::quiet()).await
}

async fn judged(habit: Habit) -> Judgement {
    let shop = FakeShop::open(habit).await;
    run(&plan(shop.at, Failures::Any)).await.unwrap().judgement
}

fn faults(judgement: &Judgement) -> Vec<(Fault, usize)> {
    judgement.orders.faults.iter().map(|(fault, which)| (*fault, which.len())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_runs_undisturbed_keeps_every_promise() {
    let stage = Stage::start(Arm::Resilient, program(), 0, Progress::quiet()).await.unwrap();
    let report = run(&plan(stage.child.ports.http, Failures::Percent(0.0))).await.unwrap();
    let Judgement { outcome, reasons, orders } = &report.judgement;
    assert_eq!(*outcome, Outcome::Held, "{reasons:?} {:?}", report.lines());
    assert!(orders.paid > 0 && orders.paid == orders.answered, "{orders:?}");
    let asked: Vec<&str> = report.routes.iter().map(|route| route.route.name()).collect();
    assert!(asked.contains(&"POST /v1/auth/refresh") && asked.contains(&"POST /v1/orders"), "{asked:?}");
    assert_eq!(stage.stop().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_order_fails_the_drive_with_its_id() {
    let shop = FakeShop::open(Habit::LosesOne).await;
    let out = std::env::temp_dir().join(format!("forebay-drive-{}.json", std::process::id()));
    let mut command = Command::new(program());
    command.args(["drive", "--seconds", "2", "--rate", "30", "--at", &format!("http://{}", shop.at), "--out"]);
    let said = command.arg(&out).kill_on_drop(true).output().await.unwrap();
    let page = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{page}");
    assert!(page.contains("lost: 1\n            order ") && page.ends_with(&format!("{}\n", out.display())), "{page}");
    let report: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    std::fs::remove_file(out).unwrap();
    assert_eq!(report["judgement"]["outcome"], "failed");
    assert_eq!(report["judgement"]["orders"]["faults"]["lost"].as_array().unwrap().len(), 1);
    assert!(report["routes"][0]["p95_ms"].as_f64().unwrap() > 0.0, "{report}");
}

#[tokio::test]
async fn each_broken_promise_has_its_name() {
    let (honest, changes, twice) =
        tokio::join!(judged(Habit::Honest), judged(Habit::ChangesOne), judged(Habit::OrdersTwice));
    assert_eq!((honest.outcome, faults(&honest)), (Outcome::Held, Vec::new()));
    assert_eq!(faults(&changes), [(Fault::Changed, 1)]);
    assert_eq!(faults(&twice), [(Fault::Duplicate, usize::try_from(twice.orders.answered).unwrap())]);
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_asked_for_until_it_comes() {
    let hidden = judged(Habit::HidesAnswers).await;
    assert_eq!((hidden.outcome, hidden.orders.found_to_stand), (Outcome::Held, 0), "{hidden:?}");
    assert!(hidden.orders.paid > 0 && hidden.orders.paid == hidden.orders.tried, "{hidden:?}");
    let failed = judged(Habit::FailsOne).await;
    assert_eq!((failed.outcome, failed.orders.found_to_stand), (Outcome::Held, 1), "{failed:?}");
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_order_sent_again() {
    let judgement = judged(Habit::MistrustsLogins).await;
    assert_eq!(judgement.outcome, Outcome::Held, "{judgement:?}");
    assert_eq!((judgement.orders.paid, judgement.orders.refused.len()), (judgement.orders.tried, 0), "{judgement:?}");
}

#[tokio::test]
async fn an_order_that_stays_pending_is_named_apart() {
    let shop = FakeShop::open(Habit::NeverSettlesOne).await;
    let plan = Plan { patience: Duration::from_millis(200), ..plan(shop.at, Failures::Any) };
    let judgement = run(&plan).await.unwrap().judgement;
    assert_eq!((judgement.outcome, judgement.orders.unsettled.len()), (Outcome::Held, 1), "{judgement:?}");
}

#[tokio::test]
async fn a_refusal_that_is_repeated_fails_nothing_but_the_first_attempt() {
    let shop = FakeShop::open(Habit::Sheds).await;
    let report = run(&plan(shop.at, Failures::Percent(0.0))).await.unwrap();
    assert_eq!(report.judgement.outcome, Outcome::Held, "{:?}", report.lines());
    assert!(report.shed > 0 && report.failed == 0, "{:?}", report.lines());
    let strict = run(&plan(shop.at, Failures::NoFirstAttempt)).await.unwrap();
    assert_eq!(strict.judgement.outcome, Outcome::Failed, "{:?}", strict.lines());
}

async fn refused(at: SocketAddr) -> (DriveError, String) {
    let error = run(&plan(at, Failures::Any)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&at.to_string()), "{text}");
    (error, text)
}

#[tokio::test]
async fn a_shop_without_products_or_users_is_told_from_one_that_is_not_there() {
    for habit in [Habit::Empty, Habit::Strangers] {
        let shop = FakeShop::open(habit).await;
        let (error, text) = refused(shop.at).await;
        assert!(
            matches!(error, DriveError::NotReady(NotReady::Empty { .. })) && text.contains("bin/up seed"),
            "{text}"
        );
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let other = tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let (error, text) = refused(at).await;
    assert!(matches!(error, DriveError::NotReady(NotReady::NoShop { .. })) && text.contains("404"), "{text}");
    other.abort();
    assert!(other.await.unwrap_err().is_cancelled());
    let (error, text) = refused(at).await;
    assert!(matches!(error, DriveError::NotReady(NotReady::Unreachable { .. })) && text.contains("bin/up"), "{text}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_told_before_the_load() {
    let shop = FakeShop::open(Habit::Honest).await;
    let plan = Plan { out: Some("/nowhere/report.json".into()), ..plan(shop.at, Failures::Any) };
    let error = run(&plan).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/report.json"), "{error}");
    assert_eq!(shop.orders(), 0);
}

/// A drive of ten minutes, on its own process.
struct Driving {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Driving {
    fn start(shop: &FakeShop) -> Self {
        let mut command = Command::new(program());
        command.args(["drive", "--seconds", "600", "--rate", "30", "--at", &shop.at.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn interrupt(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    }

    /// Reads on until a line has `text` in it; all that was said.
    async fn until(&mut self, text: &str) -> String {
        let mut said = String::new();
        let reading = async {
            while !said.contains(text) {
                said.push_str(&self.lines.next_line().await.unwrap().expect("it says so before it ends"));
                said.push('\n');
            }
        };
        timeout(Duration::from_secs(60), reading).await.unwrap();
        said
    }

    async fn exit_code(mut self) -> Option<i32> {
        timeout(Duration::from_secs(60), self.child.wait()).await.unwrap().unwrap().code()
    }
}

#[tokio::test]
async fn an_interrupted_drive_is_judged_by_what_there_is() {
    let shop = FakeShop::open(Habit::LosesOne).await;
    let mut driving = Driving::start(&shop);
    eventually("three orders are placed", async || shop.orders() >= 3).await;
    driving.interrupt();
    let page = driving.until("FAILED").await;
    assert!(page.contains("then interrupted") && page.contains("lost: 1"), "{page}");
    assert_eq!(driving.exit_code().await, Some(1));
}

#[tokio::test]
async fn interrupted_twice_it_gives_up() {
    let shop = FakeShop::open(Habit::NeverSettlesOne).await;
    let mut driving = Driving::start(&shop);
    eventually("an order is placed", async || shop.orders() >= 1).await;
    driving.interrupt();
    driving.until("the load is over").await;
    driving.interrupt();
    assert_eq!(driving.exit_code().await, Some(130));
}
