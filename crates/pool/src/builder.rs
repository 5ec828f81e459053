use std::fmt;

use forebay_pool_core::{Knee, Sizer};
use sqlx::postgres::PgConnectOptions;

use crate::{Addresses, Config, Connector, InvalidConfig, Observer, Pool, Unobserved};

/// A [`Pool`] to be, with parts of your choice. See [`Pool::builder`].
///
/// ```no_run
/// use forebay_pool::{Config, Fixed, Pool};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = "postgres://localhost/shop".parse()?;
/// let pool = Pool::builder(options, Config::named("shop")).sizer(Fixed).connect()?;
/// # Ok(()) }
/// ```
#[must_use = "it becomes a pool by `connect`"]
pub struct Builder {
    pub(crate) options: PgConnectOptions,
    pub(crate) config: Config,
    pub(crate) sizer: Box<dyn Sizer>,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) connector: Option<Box<dyn Connector>>,
    pub(crate) addresses: Addresses,
}

impl Builder {
    pub(crate) fn new(options: PgConnectOptions, config: Config) -> Self {
        let sizer = Box::<Knee>::default();
        let observer = Box::new(Unobserved);
        Self { options, config, sizer, observer, connector: None, addresses: Addresses::default() }
    }

    /// What moves the limit. Default [`Knee`].
    ///
    /// ```
    /// # fn example(options: sqlx::postgres::PgConnectOptions) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Config, Pool, Staffing};
    /// // As many as the traffic needs, whatever the database does best with.
    /// let pool = Pool::builder(options, Config::named("shop")).sizer(Staffing::default()).connect()?;
    /// # drop(pool);
    /// # Ok(()) }
    /// ```
    pub fn sizer(self, sizer: impl Sizer + 'static) -> Self {
        Self { sizer: Box::new(sizer), ..self }
    }

    /// Who is told what happens. Default nobody.
    ///
    /// ```
    /// # fn example(options: sqlx::postgres::PgConnectOptions) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{AcquireError, Class, Config, Observer, Pool};
    ///
    /// #[derive(Debug)]
    /// struct Log;
    ///
    /// impl Observer for Log {
    ///     fn refused(&self, class: Class, error: &AcquireError) {
    ///         eprintln!("{}: {error}", class.name());
    ///     }
    /// }
    ///
    /// let pool = Pool::builder(options, Config::named("shop")).observer(Log).connect()?;
    /// # drop(pool);
    /// # Ok(()) }
    /// ```
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        Self { observer: Box::new(observer), ..self }
    }

    /// What dials with which credentials, and prepares each session. Default the options as they are, and nothing.
    pub fn connector(self, connector: impl Connector + 'static) -> Self {
        Self { connector: Some(Box::new(connector)), ..self }
    }

    /// A pool that will open connections in the background, beginning with `min_idle` now. Nothing waits for them here:
    /// see [`Pool::ready`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay_pool::{Config, Pool};
    /// let pool = Pool::builder("postgres://localhost/shop".parse()?, Config::named("shop")).connect()?;
    /// pool.ready(std::time::Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Every fault of the configuration at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(self) -> Result<Pool, InvalidConfig> {
        Pool::build(self)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}
