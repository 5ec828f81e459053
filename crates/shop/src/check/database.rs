//! The lines about a database that somebody else runs.

use forebay_pool::{Bouncer, ServerRole};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use super::{Found, Report};
use crate::{
    Address, Config, Purpose, Service,
    budget::{Fleet, STARTING},
    claim::ClaimError,
    database::{address, dial},
    migrations::Schema,
    reason::{self, Reason},
    running,
};

/// The versions that the shop is tested with.
const KNOWN: std::ops::RangeInclusive<i32> = 14..=18;

pub(super) async fn check<S: Fn(&str)>(
    config: &Config,
    purpose: Purpose,
    database_url: &Address,
    report: &mut Report<S>,
) {
    let options = database_url.options().application_name(STARTING);
    let Some(mut connection) = open("database", &options, report).await else { return };
    let session = Session { connection: &mut connection, options: &options };
    session.report(config, purpose, report).await;
    _ = connection.close().await;
    if let Some(pool_url) = &config.pool_url
        && let Some(way) = open("pool's way", &through(config, pool_url), report).await
    {
        _ = way.close().await;
    }
}

/// A bouncer refuses what it does not know.
fn through(config: &Config, pool_url: &Address) -> PgConnectOptions {
    let options = pool_url.options().application_name(STARTING);
    if config.pool.bouncer == Bouncer::None { options } else { options.extra_float_digits(None) }
}

async fn open<S: Fn(&str)>(what: &str, options: &PgConnectOptions, report: &mut Report<S>) -> Option<PgConnection> {
    let at = address(options);
    match dial(options).await {
        Ok(connection) => {
            let (user, database) = (options.get_username(), reason::database(options));
            report.line(what, Found::Well(format!("{at} lets `{user}` into `{database}`")));
            Some(connection)
        }
        Err(error) => {
            report.line(what, Found::Wrong(format!("{at}: {}", Reason::of(&error, options))));
            None
        }
    }
}

struct Session<'c> {
    connection: &'c mut PgConnection,
    options: &'c PgConnectOptions,
}

impl Session<'_> {
    async fn report<S: Fn(&str)>(mut self, config: &Config, purpose: Purpose, report: &mut Report<S>) {
        let found = self.version().await;
        report.line("version", self.found(found));
        let found = self.encryption().await;
        report.line("encryption", self.found(found));
        let found = self.role(config.pool.role).await;
        report.line("role", self.found(found));
        let found = self.schema(purpose).await;
        report.line("schema", self.found(found));
        if let Purpose::Serve(service) = purpose {
            let found = self.rights(service).await;
            report.line("rights", self.found(found));
        }
        if purpose != Purpose::Schema {
            let found = match Fleet::read(self.connection, 0).await {
                Ok(fleet) => running::fits(config, purpose, fleet).map_err(ClaimError::from),
                Err(error) => Err(error.into()),
            };
            let fits = format!("the {} of this process fit", running::least(config, purpose).total());
            report.line("connections", found.map(|()| fits));
        }
    }

    /// What the server would not say is wrong.
    fn found(&self, found: sqlx::Result<Found>) -> Found {
        found.unwrap_or_else(|error| Found::Wrong(Reason::of(&error, self.options).to_string()))
    }

    async fn version(&mut self) -> sqlx::Result<Found> {
        let asked = "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000";
        let (text, major): (String, i32) = sqlx::query_as(asked).fetch_one(&mut *self.connection).await?;
        let known = format!("Postgres {} to {}", KNOWN.start(), KNOWN.end());
        Ok(match major {
            major if KNOWN.contains(&major) => Found::Well(format!("Postgres {text}")),
            major if major > *KNOWN.end() => {
                Found::Noted(format!("Postgres {text}; this shop was tested with {known}"))
            }
            _ => Found::Wrong(format!("Postgres {text} is too old: this shop needs {known}")),
        })
    }

    async fn encryption(&mut self) -> sqlx::Result<Found> {
        let asked = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        let version: Option<String> = sqlx::query_scalar(asked).fetch_optional(&mut *self.connection).await?;
        let mode = format!("{:?}", self.options.get_ssl_mode()).to_lowercase();
        Ok(match version {
            Some(version) => Found::Well(format!("{version}, sslmode {mode}")),
            None if is_near(self.options) => Found::Well("none, within this machine".to_owned()),
            None => Found::Noted(format!(
                "none, sslmode {mode}: whoever sits between can read and change all; sslmode=verify-full"
            )),
        })
    }

    async fn role(&mut self, wanted: ServerRole) -> sqlx::Result<Found> {
        let standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *self.connection).await?;
        let is = if standby { "a hot standby" } else { "a primary" };
        let other = format!("the server is {is}: FOREBAY_DATABASE_ROLE says otherwise");
        Ok(match (wanted, standby) {
            (ServerRole::Primary, true) | (ServerRole::Standby, false) => Found::Wrong(other),
            _ => Found::Well(format!("the server is {is}")),
        })
    }

    async fn schema(&mut self, purpose: Purpose) -> sqlx::Result<Found> {
        let schema = Schema::read(self.connection).await?;
        if let Some(fault) = schema.fault() {
            return Ok(Found::Wrong(fault));
        }
        let (missing, known) = (schema.missing.len(), schema.known);
        Ok(match (missing, purpose) {
            (0, _) => {
                schema.newer().map_or_else(|| Found::Well(format!("all {known} migrations are there")), Found::Noted)
            }
            (_, Purpose::Serve(_)) => Found::Wrong(format!(
                "{missing} of {known} migrations are missing: run `shop migrate` with the same DATABASE_URL"
            )),
            (_, Purpose::Up | Purpose::Schema) => match self.may_create().await? {
                Ok(()) => Found::Well(format!("{missing} of {known} migrations are missing; a start applies them")),
                Err(grants) => Found::Wrong(format!(
                    "{missing} of {known} migrations are missing, and the role may not apply them. {grants}"
                )),
            },
        })
    }

    /// Whether the role may make schemas, and the table of what was applied.
    async fn may_create(&mut self) -> sqlx::Result<Result<(), String>> {
        let asked = "SELECT current_database()::text, current_user::text, coalesce(current_schema(), 'public')::text, \
             has_database_privilege(current_database(), 'CREATE'), \
             has_schema_privilege(coalesce(current_schema(), 'public'), 'CREATE')";
        let (database, user, schema, schemas, tables): (String, String, String, bool, bool) =
            sqlx::query_as(asked).fetch_one(&mut *self.connection).await?;
        let denied = [(schemas, format!("database {database}")), (tables, format!("schema {schema}"))];
        let denied = denied.iter().filter(|(may, _)| !may).map(|(_, what)| format!("permission denied for {what}"));
        let grants: Vec<_> = denied.filter_map(|message| reason::grant(&message, &user)).collect();
        Ok(if grants.is_empty() { Ok(()) } else { Err(grants.join("; ")) })
    }

    /// Whether the role may use the tables of the service.
    async fn rights(&mut self, service: Service) -> sqlx::Result<Found> {
        let schema = service.name();
        let writes = service != Service::Catalog;
        let asked = "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace \
             WHERE nspname = $1 AND relkind IN ('r', 'p') AND NOT (has_schema_privilege(n.oid, 'USAGE') \
             AND has_table_privilege(pg_class.oid, 'SELECT') AND (NOT $2 OR (has_table_privilege(pg_class.oid, 'INSERT') \
             AND has_table_privilege(pg_class.oid, 'UPDATE') AND has_table_privilege(pg_class.oid, 'DELETE')))) ORDER BY 1";
        let denied: Vec<String> =
            sqlx::query_scalar(asked).bind(schema).bind(writes).fetch_all(&mut *self.connection).await?;
        let rights = if writes { "SELECT, INSERT, UPDATE, DELETE" } else { "SELECT" };
        let user = self.options.get_username();
        Ok(if denied.is_empty() {
            Found::Well(format!("`{user}` may use the tables of {schema}"))
        } else {
            Found::Wrong(format!(
                "`{user}` may not use {}. As the owner or a superuser say: GRANT USAGE ON SCHEMA {schema} TO {user}; \
                 GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {user}",
                denied.join(", ")
            ))
        })
    }
}

/// Whether nobody sits between.
fn is_near(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback
}
