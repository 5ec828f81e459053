//! The schemas of the three services, and of what they share: what the database has of them, and how it gets the rest.

use std::fmt;

use forebay_pool::describe;
use sqlx::{
    Connection as _, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use crate::{database::dial, reason};

/// How many migrations the schema has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Over all schemas.
    pub known: usize,
}

/// A migration that did not go through.
#[derive(Debug)]
pub struct MigrationFailed {
    /// Whose.
    pub service: &'static str,
    /// As whom.
    pub user: String,
    /// What happened.
    pub source: MigrateError,
}

impl std::error::Error for MigrationFailed {}

impl fmt::Display for MigrationFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, user, source } = self;
        write!(f, "the migrations of `{service}` failed: ")?;
        match source {
            MigrateError::VersionMismatch(version) => return write!(f, "{}", Changed(&[*version])),
            MigrateError::ExecuteMigration(error, version) => {
                write!(f, "number {version}: {}", describe(error))?;
                advise(f, error, user)?;
            }
            MigrateError::Execute(error) => {
                write!(f, "{}", describe(error))?;
                advise(f, error, user)?;
            }
            other => write!(f, "{other}")?,
        }
        write!(f, ". What was applied before stays; mend the cause and start again, nothing is applied twice")
    }
}

fn advise(f: &mut fmt::Formatter<'_>, error: &sqlx::Error, user: &str) -> fmt::Result {
    let denied = error.as_database_error().and_then(|answer| reason::grant(answer.message(), user));
    denied.map_or(Ok(()), |grant| write!(f, ". {grant}"))
}

/// What to say of migrations that the database has in another form.
#[derive(Clone, Copy, Debug)]
struct Changed<'v>(&'v [i64]);

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the database has {} in another form than this program: another version of the program applied it, or its file was \
             edited afterwards. Run the version that applied it, or put the file back; a database that holds nothing of worth \
             can be dropped and made anew. Nothing was changed",
            Numbers(self.0)
        )
    }
}

/// Migrations by number, not more than anybody reads.
#[derive(Clone, Copy, Debug)]
struct Numbers<'v>(&'v [i64]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.iter().take(3).map(i64::to_string).collect();
        let more = if self.0.len() > shown.len() { ", .." } else { "" };
        let noun = if self.0.len() == 1 { "migration" } else { "migrations" };
        write!(f, "{noun} {}{more}", shown.join(", "))
    }
}

/// In the order in which they are applied.
fn migrators() -> [(&'static str, &'static Migrator); 4] {
    [
        ("audit", &forebay_platform::audit::MIGRATOR),
        ("catalog", &forebay_catalog::MIGRATOR),
        ("auth", &forebay_auth::MIGRATOR),
        ("checkout", &forebay_checkout::MIGRATOR),
    ]
}

/// Each migration that this program knows of one service: its number, and the sum of its text.
fn known(migrator: &Migrator) -> impl Iterator<Item = (i64, &[u8])> {
    let known = migrator.iter().filter(|migration| migration.migration_type.is_up_migration());
    known.map(|migration| (migration.version, &*migration.checksum))
}

/// Brings the schemas up to date. Two processes at once take turns.
///
/// # Errors
///
/// Names the service whose migrations failed.
pub async fn migrate(options: &PgConnectOptions) -> Result<Migrated, MigrationFailed> {
    let mut all = 0;
    for (service, migrator) in migrators() {
        let failed = |source| MigrationFailed { service, user: options.get_username().to_owned(), source };
        let mut connection = dial(options).await.map_err(|error| failed(error.into()))?;
        migrator.run(&mut connection).await.map_err(failed)?;
        all += known(migrator).count();
        // Nothing is lost with a connection that ends badly after its work.
        _ = connection.close().await;
    }
    Ok(Migrated { known: all })
}

/// What the database has of the schema, beside what this program knows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// How many this program knows.
    pub(crate) known: usize,
    /// Those that were not applied.
    pub(crate) missing: Vec<i64>,
    /// Those that were applied in another form.
    changed: Vec<i64>,
    /// Those that were applied, and this program does not know: a newer one does.
    unknown: Vec<i64>,
}

impl Schema {
    /// Looks. Changes nothing.
    ///
    /// # Errors
    ///
    /// The server's.
    pub(crate) async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let begun: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
        if !begun {
            return Ok(Self::of(&[]));
        }
        let applied = "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
        Ok(Self::of(&sqlx::query_as(applied).fetch_all(connection).await?))
    }

    fn of(applied: &[(i64, Vec<u8>)]) -> Self {
        let mut schema = Self::default();
        let all: Vec<_> = migrators().into_iter().flat_map(|(_, migrator)| known(migrator)).collect();
        schema.known = all.len();
        for (version, sum) in &all {
            match applied.iter().find(|(number, _)| number == version) {
                None => schema.missing.push(*version),
                Some((_, applied)) if applied.as_slice() != *sum => schema.changed.push(*version),
                Some(_) => {}
            }
        }
        let unknown = applied.iter().map(|(number, _)| *number);
        schema.unknown = unknown.filter(|number| !all.iter().any(|(known, _)| known == number)).collect();
        schema
    }

    /// What is wrong with what was applied, if something is.
    pub(crate) fn fault(&self) -> Option<String> {
        (!self.changed.is_empty()).then(|| Changed(&self.changed).to_string())
    }

    /// What to say where a newer program has migrated the database. It is served all the same, since that is how the
    /// processes of a shop are replaced one after another.
    pub(crate) fn newer(&self) -> Option<String> {
        (!self.unknown.is_empty()).then(|| {
            format!(
                "the schema is newer than this program ({}), which does not know {}. It is served: while processes are replaced \
                 one after another that is as it should be; otherwise run the newer program",
                env!("CARGO_PKG_VERSION"),
                Numbers(&self.unknown)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_told_apart_from_what_this_program_knows() {
        let ours: Vec<_> = migrators().into_iter().flat_map(|(_, migrator)| known(migrator)).collect();
        let mut applied: Vec<_> = ours.iter().map(|(version, sum)| (*version, sum.to_vec())).collect();
        let whole = Schema::of(&applied);
        assert_eq!(whole, Schema { known: ours.len(), ..Schema::default() });
        assert_eq!((whole.fault(), whole.newer()), (None, None));
        let (gone, _) = applied.remove(0);
        applied[0].1 = vec![0];
        let changed = applied[0].0;
        applied.push((29_990_101_000_000, vec![1]));
        let other = Schema::of(&applied);
        assert_eq!((other.missing.as_slice(), other.changed.as_slice()), (&[gone][..], &[changed][..]));
        assert!(other.fault().unwrap().contains(&format!("migration {changed} in another form")));
        assert!(other.newer().unwrap().contains("migration 29990101000000"));
        assert_eq!(Schema::of(&[]).missing.len(), ours.len());
    }
}
