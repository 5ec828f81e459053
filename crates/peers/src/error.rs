use forebay_embedded::StartError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no server to measure on.
    #[error("no Postgres to measure on: {0}")]
    Start(#[from] StartError),
    /// The server refused something that every turn needs.
    #[error("the server refused: {0}")]
    Sql(#[from] sqlx::Error),
    /// The system did.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A pool did not do what its row measures.
    #[error("{0}")]
    Turn(String),
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    pub(crate) fn turn(what: impl std::fmt::Display) -> Self {
        Self::Turn(what.to_string())
    }
}
