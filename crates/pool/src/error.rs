use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use forebay_pool_core::{Class, Refusal, ShedReason, Snapshot};

use crate::{Admission, Sql};

/// Why there is no connection. One variant for each reaction a caller can have; match the variant, never the text.
///
/// ```no_run
/// # async fn example(pool: forebay_pool::Pool, admission: forebay_pool::Admission) -> Result<(), Box<dyn std::error::Error>> {
/// use forebay_pool::AcquireError;
/// match pool.acquire(&admission).await {
///     Ok(lease) => drop(lease),
///     Err(AcquireError::Shed { retry_after, .. }) => println!("503, come back in {retry_after:?}"),
///     Err(AcquireError::Timeout(timeout)) if timeout.continuation => println!("504, do not repeat it blindly"),
///     Err(error) => println!("503: {error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AcquireError {
    /// Refused early and on purpose. Nothing was executed: come back after `retry_after`.
    Shed {
        /// The class that was refused.
        class: Class,
        /// Why.
        reason: ShedReason,
        /// When there should be room again, without jitter.
        retry_after: Duration,
    },
    /// The deadline passed while waiting.
    Timeout(Box<Timeout>),
    /// Nothing is alive, and opening a connection fails.
    Unavailable {
        /// For how long.
        since: Duration,
        /// The last attempt's error.
        cause: Option<Arc<str>>,
        /// When to come back.
        retry_after: Duration,
        /// Whether the request had already executed something.
        continuation: bool,
    },
    /// The pool is closed.
    Closed {
        /// Whether the request had already executed something.
        continuation: bool,
    },
}

/// What was the matter when a wait ended without a connection.
///
/// ```
/// # fn example(timeout: &forebay_pool::Timeout) {
/// // Who had the connections while this one waited.
/// for holder in &timeout.longest {
///     println!("{} has held one for {:?}", holder.site, holder.held);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Timeout {
    /// How long the caller waited.
    pub waited: Duration,
    /// Whether the request had already executed something: then it is not safe to repeat blindly.
    pub continuation: bool,
    /// The pool at that moment.
    pub snapshot: Snapshot,
    /// Who held connections for longest.
    pub longest: Vec<Holder>,
    /// The last error on opening a connection, if the last attempt failed.
    pub last_open_error: Option<Arc<str>>,
}

/// A lease that is out, as a person wants to see it.
///
/// ```
/// # fn example(pool: &forebay_pool::Pool) {
/// for holder in pool.holders() {
///     let runs = holder.runs.as_ref().map_or_else(|| "nothing yet".to_owned(), ToString::to_string);
///     println!("{}: out for {:?}, idle for {:?}, {runs}", holder.site, holder.held, holder.held_idle);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Holder {
    /// Where the lease was taken.
    pub site: &'static Location<'static>,
    /// Its class.
    pub class: Class,
    /// For how long it is out.
    pub held: Duration,
    /// For how long it has run no statement; zero while one runs.
    pub held_idle: Duration,
    /// The statement that it runs, or ran last. None where it ran none yet, and where what it does is not seen.
    pub runs: Option<Sql>,
}

impl AcquireError {
    /// The refusal as its caller sees it. One that was asked for before the request had begun, and comes after, must not
    /// say that nothing was executed.
    pub(crate) fn of(refusal: Refusal, admission: &Admission, details: impl FnOnce() -> Details) -> Self {
        let continuation = admission.has_begun();
        let timeout = |waited, details: Details| {
            let Details { snapshot, longest, last_open_error } = details;
            Self::Timeout(Box::new(Timeout { waited, continuation, snapshot, longest, last_open_error }))
        };
        match refusal {
            Refusal::Shed { .. } if continuation => timeout(Duration::ZERO, details()),
            Refusal::Shed { class, reason, retry_after } => Self::Shed { class, reason, retry_after },
            Refusal::Timeout { waited, .. } => timeout(waited, details()),
            Refusal::Unavailable { since, retry_after } => {
                Self::Unavailable { since, cause: details().last_open_error, retry_after, continuation }
            }
            _ => Self::Closed { continuation },
        }
    }

    /// A short fixed word for metrics: `shed`, `timeout`, `unavailable` or `closed`.
    ///
    /// ```
    /// use forebay_pool::AcquireError;
    /// assert_eq!(AcquireError::Closed { continuation: false }.kind(), "closed");
    /// ```
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Shed { .. } => "shed",
            Self::Timeout(_) => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::Closed { .. } => "closed",
        }
    }
}

pub(crate) struct Details {
    pub(crate) snapshot: Snapshot,
    pub(crate) longest: Vec<Holder>,
    pub(crate) last_open_error: Option<Arc<str>>,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shed { class, reason, retry_after } => {
                let (class, reason) = (class.name(), reason.name());
                write!(f, "shed ({class}, {reason}): nothing was executed, retry after {retry_after:?}")
            }
            Self::Timeout(timeout) => {
                let Timeout { waited, snapshot, longest, last_open_error, .. } = &**timeout;
                write!(
                    f,
                    "no connection within {waited:?}: {} of {} in use, {} waiting",
                    snapshot.leased, snapshot.limit, snapshot.waiting
                )?;
                for holder in longest.iter().take(3) {
                    write!(f, "; {} held for {:?}", holder.site, holder.held)?;
                }
                match last_open_error {
                    Some(error) => write!(f, "; the last attempt to open one failed: {error}"),
                    None => Ok(()),
                }
            }
            Self::Unavailable { since, cause, .. } => {
                let cause = cause.as_deref().unwrap_or("no attempt has ended yet");
                write!(f, "no connection could be opened for {since:?}: {cause}")
            }
            Self::Closed { .. } => write!(f, "the pool is closed"),
        }
    }
}

impl std::error::Error for AcquireError {}

/// An error of this pool where an interface can only answer [`sqlx::Error`]; [`classify`] finds it again.
///
/// ```
/// # fn example(error: &sqlx::Error) {
/// use forebay_pool::{PoolError, classify};
/// match classify(error) {
///     Some(PoolError::OutcomeUnknown) => println!("it may be stored: look before it is done again"),
///     Some(error) => println!("{error}"),
///     None => println!("the server's or the driver's: {error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// There was no connection.
    Acquire(AcquireError),
    /// The pool took this lease's connection back, since it ran no statement for so long, or since the pool closes and has
    /// waited long enough ([`crate::Pool::drain`]). What was not committed is rolled back.
    Revoked {
        /// How long no statement had run; zero where one ran and the pool closes.
        held_idle: Duration,
    },
    /// The connection is not here: a stream of this lease was forgotten half-way.
    Lost,
    /// The request's deadline had passed, so that the statement did not begin. Its transaction, if there is one, counts as
    /// failed.
    TooLate,
    /// The server said nothing for longer than the statement may take, or until the request's deadline. Whether it was done
    /// is unknown; it is cancelled.
    Silent {
        /// For how long it said nothing.
        waited: Duration,
    },
    /// A transaction was begun or ended by the text of a statement, where one of ours was to begin or to end.
    ByText,
    /// This needs a session of the server's to itself, and a bouncer lends one for a transaction at a time
    /// ([`crate::Bouncer::Transaction`]). Nothing was sent.
    NeedsSession {
        /// What was refused.
        what: &'static str,
    },
    /// The transaction had failed before, so that COMMIT stored nothing: it was rolled back.
    Aborted,
    /// The connection was lost during COMMIT: whether it was stored is unknown. Never repeat it blindly.
    OutcomeUnknown,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(error) => error.fmt(f),
            Self::Revoked { held_idle } if held_idle.is_zero() => {
                write!(f, "the pool was closed, and took this connection back")
            }
            Self::Revoked { held_idle } => {
                write!(f, "the pool took this connection back: no statement had run on it for {held_idle:?}")
            }
            Self::Lost => write!(f, "the connection is held by a stream that was never finished nor dropped"),
            Self::TooLate => write!(f, "the request's deadline had passed: the statement was not begun"),
            Self::Silent { waited } => {
                write!(f, "the server has not answered for {waited:?}: whether it was done is unknown")
            }
            Self::ByText => write!(
                f,
                "a transaction was begun or ended by the text of a statement: end it by text, or use begin and commit"
            ),
            Self::NeedsSession { what } => write!(
                f,
                "{what} needs a session to itself, which a bouncer that pools transactions does not give: use a pool \
                 that connects past it"
            ),
            Self::Aborted => {
                write!(f, "a statement had failed, so the transaction was rolled back instead of committed")
            }
            Self::OutcomeUnknown => {
                write!(f, "the connection was lost during COMMIT: whether it was stored is unknown")
            }
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Acquire(error) => Some(error),
            _ => None,
        }
    }
}

impl From<AcquireError> for sqlx::Error {
    fn from(error: AcquireError) -> Self {
        PoolError::Acquire(error).into()
    }
}

impl From<PoolError> for sqlx::Error {
    /// `sqlx::Error` has no variant for others' errors: ours travel inside [`sqlx::Error::Io`].
    fn from(error: PoolError) -> Self {
        let kind = match &error {
            PoolError::Acquire(AcquireError::Timeout(_)) => io::ErrorKind::TimedOut,
            PoolError::Acquire(_) => io::ErrorKind::WouldBlock,
            PoolError::Revoked { .. } | PoolError::Lost => io::ErrorKind::NotConnected,
            PoolError::TooLate | PoolError::Silent { .. } => io::ErrorKind::TimedOut,
            PoolError::Aborted | PoolError::ByText => io::ErrorKind::Other,
            PoolError::NeedsSession { .. } => io::ErrorKind::Unsupported,
            PoolError::OutcomeUnknown => io::ErrorKind::ConnectionReset,
        };
        Self::Io(io::Error::new(kind, error))
    }
}

/// The pool's own error inside an [`sqlx::Error`], if it is one.
///
/// ```
/// use forebay_pool::{PoolError, classify};
/// let error = sqlx::Error::from(PoolError::Aborted);
/// assert!(matches!(classify(&error), Some(PoolError::Aborted)));
/// assert!(classify(&sqlx::Error::RowNotFound).is_none());
/// ```
#[must_use]
pub fn classify(error: &sqlx::Error) -> Option<&PoolError> {
    match error {
        sqlx::Error::Io(io) => io.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// What an error says, for people and for logs. Of what the server answered: its message and its code.
///
/// sqlx's own text adds "at line N" to that, which is a line of the server's source: it means nothing to whoever reads it, and
/// is another one in each version of Postgres.
///
/// ```
/// assert_eq!(forebay_pool::describe(&sqlx::Error::PoolClosed).to_string(), sqlx::Error::PoolClosed.to_string());
/// ```
#[must_use]
pub fn describe(error: &sqlx::Error) -> impl fmt::Display + '_ {
    Described(error)
}

struct Described<'e>(&'e sqlx::Error);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sqlx::Error::Database(answer) => match answer.code() {
                Some(code) => write!(f, "{} (SQLSTATE {code})", answer.message()),
                None => f.write_str(answer.message()),
            },
            sqlx::Error::Io(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}
