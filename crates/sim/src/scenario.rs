//! What happens in a run, as data.

use std::sync::Arc;
use std::time::Duration;

use forebay_pool_core::Class;

use crate::chance::Length;
use crate::client::{Client, Population};
use crate::database::{Contention, Machine};
use crate::load::{Burstiness, Profile};

/// One step of what is done with a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A statement that takes so long on a server that does nothing else.
    Statement(Length),
    /// The same, on a row that everybody wants; its lock is held until the connection is given back.
    HotRow(Length),
    /// The application works while it holds the connection.
    Think(Length),
    /// Whoever asked has the answer now; what comes after it keeps nobody but the connection.
    Answer,
    /// The connection is never given back.
    Keep,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// How important they are.
    pub class: Class,
    /// How many of all requests are of this kind, in any unit.
    pub weight: f64,
    /// An answer is good when it comes within this time after the attempt was sent.
    pub slo: Duration,
    /// What they do with a connection.
    pub steps: Vec<Step>,
}

impl Kind {
    /// One statement, good within 250 ms.
    #[must_use]
    pub fn one_statement(class: Class, weight: f64, length: Length) -> Self {
        Self { class, weight, slo: Duration::from_millis(250), steps: vec![Step::Statement(length)] }
    }
}

/// Who brings requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Requests come whether or not anybody is served.
    Open {
        /// How many a second.
        profile: Profile,
        /// How they cluster.
        burstiness: Burstiness,
    },
    /// So many users, each of whom sends the next request when the last one is answered: saturation without a queue.
    Closed {
        /// How many.
        users: u32,
    },
    /// Users of whom each comes once and sends one request after another, until one of them fails: what becomes of each is in
    /// [`crate::measure::Record::visited`].
    Visits {
        /// In order of arrival.
        visits: Arc<[Visit]>,
        /// How long a user thinks between an answer and the next request.
        think: Duration,
    },
}

/// A user who comes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// When.
    pub at: Duration,
    /// What is asked for, one after another: indices of the scenario's kinds.
    pub kinds: Vec<u32>,
}

/// Something that changes at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The database becomes so many times as fast as it was built; zero freezes it.
    Capacity(f64),
    /// Statements hinder each other in another way.
    Contention(Contention),
    /// So many callers take a connection, run one short statement and keep it, idle.
    Leak {
        /// How many.
        holders: u32,
        /// Whether each comes back for another connection, and after what time, when its own was taken away.
        again: Option<Duration>,
    },
    /// Whoever keeps a connection gives it back.
    LeaksEnd,
}

/// Whether the server goes on with a request whose client has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Abandoned {
    /// It does not notice: the work is done for nobody.
    #[default]
    GoesOn,
    /// Whoever waits for a connection stops waiting; a statement that runs goes on.
    LeavesQueue,
    /// A statement that runs is ended, too.
    IsCutOff,
}

/// A stretch of a run that is measured by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its name in reports.
    pub name: &'static str,
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
}

/// Everything that happens to a pool in one run, but for chance.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// When requests arrive.
    pub load: Load,
    /// What they want.
    pub kinds: Vec<Kind>,
    /// Who sends them.
    pub clients: Population,
    /// What serves them.
    pub machine: Machine,
    /// What happens meanwhile.
    pub changes: Vec<(Duration, Change)>,
    /// What becomes of requests whose clients have left.
    pub abandoned: Abandoned,
    /// What is measured by itself.
    pub phases: Vec<Phase>,
    /// When the run ends.
    pub end: Duration,
}

impl Scenario {
    /// The statement that most scenarios run: 10 ms, log-normal with a coefficient of variation of 1.
    #[must_use]
    pub fn statement() -> Length {
        Length::varying(Duration::from_millis(10), 1.0)
    }

    /// Naive clients, one statement each, 5 % of them critical, on the default machine; measured as one phase.
    #[must_use]
    pub fn plain(profile: Profile, end: Duration) -> Self {
        Self {
            load: Load::Open { profile, burstiness: Burstiness::Poisson },
            kinds: vec![
                Kind::one_statement(Class::Critical, 5.0, Self::statement()),
                Kind::one_statement(Class::Normal, 95.0, Self::statement()),
            ],
            clients: Population::of(Client::NAIVE),
            machine: Machine::default(),
            changes: Vec::new(),
            abandoned: Abandoned::GoesOn,
            phases: vec![Phase { name: "all", from: Duration::ZERO, to: end }],
            end,
        }
    }
}
