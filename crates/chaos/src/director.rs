//! Carries out the scenario around the users: faults, the probes by hand, the action of 3:00.

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::arm::{Arm, POOL_SESSIONS};
use crate::client::{Ask, Caller};
use crate::fault::HoldersOrder;
use crate::prepared::Prepared;
use crate::record::{Attempt, Probe};
use crate::recorder::Recorder;
use crate::sampler::connect;
use crate::scenario::{Holders, Kind, Scenario};
use crate::schedule::{Operation, Service};
use crate::stage::Stage;

/// The pool of the 3:00 action.
pub(crate) const LARGER_POOL: u32 = 40;
/// Its sessions end an idle transaction after this long.
const IDLE_IN_TRANSACTION_MS: u64 = 1_000;
/// Somebody who asks by hand asks more than once, this many seconds apart.
const PROBES_AT: [f64; 3] = [0.0, 1.0, 2.0];
/// A fault that nobody stops ends this long after the play.
const TTL_SLACK_S: f64 = 120.0;

/// Plays the scenario's events at their times.
#[derive(Debug)]
pub struct Director<'s> {
    stage: &'s Stage,
    scenario: &'s Scenario,
    arm: Arm,
    recorder: Recorder,
}

impl<'s> Director<'s> {
    /// A director of one play.
    #[must_use]
    pub fn new(stage: &'s Stage, scenario: &'s Scenario, arm: Arm, recorder: &Recorder) -> Self {
        Self { stage, scenario, arm, recorder: recorder.clone() }
    }

    /// All events in order. What goes wrong shows in the recording, as evidence that is missing.
    pub async fn direct(&self, prepared: &Prepared) {
        if let Some(holders) = self.scenario.holders {
            sleep_until(self.recorder.moment(holders.from)).await;
            self.start_holders(holders).await;
        }
        let mut by_hand = JoinSet::new();
        if self.scenario.kind == Kind::Incident {
            sleep_until(self.recorder.moment(self.scenario.clock.at(2, 35))).await;
            self.probe(prepared, &mut by_hand);
        }
        if let (Some(at), Arm::Legacy) = (self.scenario.action, self.arm) {
            sleep_until(self.recorder.moment(at)).await;
            self.act().await;
        }
        while by_hand.join_next().await.is_some() {}
    }

    async fn start_holders(&self, holders: Holders) {
        let ms = |seconds: f64| u64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).unwrap_or(0);
        let order = HoldersOrder {
            count: holders.count,
            every_ms: ms(holders.every),
            sleep_ms: holders.sleep.map(ms),
            ttl_ms: ms(self.scenario.end() - holders.from + TTL_SLACK_S),
        };
        self.stage.child.order(Method::POST, "/chaos/holders", &json!(order)).await;
    }

    /// Requests of a person, each on a connection of its own.
    fn probe(&self, prepared: &Prepared, by_hand: &mut JoinSet<()>) {
        let asks = [
            (Service::Catalog, Operation::List, Ask::get("/v1/products")),
            (Service::Auth, Operation::Login, prepared.login_by_hand()),
        ];
        for (service, operation, ask) in asks {
            for later in PROBES_AT {
                let at = self.scenario.clock.at(2, 35) + later;
                let (recorder, ask) = (self.recorder.clone(), ask.clone());
                let caller = Caller::new(self.stage.child.ports.http);
                by_hand.spawn(async move {
                    sleep_until(recorder.moment(at)).await;
                    let at = recorder.now();
                    let reply = caller.attempt(&ask).await.reply;
                    let attempt = Attempt { operation, at, took: recorder.now() - at, reply };
                    let request = format!("{} {}", ask.method, ask.path);
                    recorder.with(|recording| recording.probes.push(Probe { request, service, attempt }));
                });
            }
        }
    }

    /// 3:00: a larger pool whose sessions end idle transactions, and the end of those that sleep in the old one.
    async fn act(&self) {
        let order = json!({ "size": LARGER_POOL, "idle_in_transaction_ms": IDLE_IN_TRANSACTION_MS });
        self.stage.child.order(Method::POST, "/chaos/replace-pool", &order).await;
        if let Ok(mut conn) = connect(&self.stage.database).await {
            // A failure shows as holders that are still there at 3:15.
            _ = sqlx::query(FLUSH).bind(POOL_SESSIONS).execute(&mut conn).await;
        }
    }
}

const FLUSH: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
     where application_name = $1 and state = 'idle in transaction' and state_change < now() - interval '1 second'";
