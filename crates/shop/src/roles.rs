//! `shop roles`: a role of its own for each service, with no more rights, time and connections than it needs.
//!
//! Whoever runs it owns the schemas and may make roles (`CREATEROLE`): the role that also migrates, and that no service logs
//! in as.

use std::time::Duration;

use forebay_pool::describe;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{Service, database::dial, reason};

mod verifier;

pub use verifier::Unfit;
use verifier::Verifier;

/// Ours, of all services, beside what other programs have in the same database.
const SCHEMAS: [&str; 5] = ["catalog", "auth", "checkout", "payment_simulator", "audit"];
/// A lock that is waited for longer is somebody's who will not come back soon.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// Who is silent in a transaction for longer keeps locks from others.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// What one service logs in as.
#[derive(Clone, Debug)]
pub struct Role {
    /// Whose.
    pub service: Service,
    /// Unless it is let in otherwise, or keeps what it has.
    pub password: Option<SecretString>,
    /// How many sessions it may have at once, over all replicas.
    pub connections: u32,
}

/// The roles could not be made as they shall be. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The server refused.
    #[error("{doing}: {}{}", describe(source), advice(source, user))]
    Sql {
        /// What was done.
        doing: String,
        /// As whom.
        user: String,
        /// What happened.
        source: sqlx::Error,
    },
    /// A password that is none.
    #[error("the password of {role} {unfit}")]
    Password {
        /// Whose.
        role: &'static str,
        /// Why.
        unfit: Unfit,
    },
}

impl Role {
    /// As the server knows it.
    pub const fn name(&self) -> &'static str {
        match self.service {
            Service::Catalog => "forebay_catalog",
            Service::Auth => "forebay_auth",
            Service::Checkout => "forebay_checkout",
        }
    }

    /// What ends what takes too long, whatever the program has asked for: settings of the server, and how long each waits.
    const fn timeouts(&self) -> [(&'static str, Duration); 3] {
        let statement = match self.service {
            Service::Catalog => Duration::from_secs(2),
            Service::Auth => Duration::from_secs(3),
            Service::Checkout => Duration::from_secs(5),
        };
        [
            ("statement_timeout", statement),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
        ]
    }

    /// In words.
    fn guards(&self) -> String {
        let [statement, lock, idle] = self.timeouts().map(|(_, limit)| limit.as_secs_f32());
        let Self { connections, .. } = self;
        format!("{connections} connections, statements {statement} s, locks {lock} s, idle in a transaction {idle} s")
    }

    /// The schemas in which it may do everything but change their tables.
    const fn schemas(&self) -> &'static [&'static str] {
        match self.service {
            Service::Catalog => &["catalog"],
            Service::Auth => &["auth"],
            // The simulated provider's own is written over a session of this service, as another company would.
            Service::Checkout => &["checkout", "payment_simulator"],
        }
    }

    /// What it may do elsewhere: a right, the schema, and a table or view in it.
    const fn elsewhere(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        const MIGRATIONS: (&str, &str, &str) = ("SELECT", "public", "_sqlx_migrations");
        const AUDIT: (&str, &str, &str) = ("INSERT", "audit", "log");
        match self.service {
            Service::Catalog => &[MIGRATIONS, AUDIT],
            // Where admins read it.
            Service::Auth => &[MIGRATIONS, AUDIT, ("SELECT", "audit", "log")],
            Service::Checkout => &[MIGRATIONS, AUDIT, ("SELECT", "catalog", "sku_prices")],
        }
    }
}

/// Makes the roles, or makes them again what they shall be, in one transaction; `progress` hears what of each. The schemas
/// must be migrated, by the role of `options` or one that it is a member of. Dropping the future changes nothing.
///
/// # Errors
/// See [`RolesError`].
pub async fn roles(options: &PgConnectOptions, roles: &[Role], progress: impl Fn(&str)) -> Result<(), RolesError> {
    let failed =
        |doing: String| move |source| RolesError::Sql { doing, user: options.get_username().to_owned(), source };
    let verifiers = roles.iter().map(verifier).collect::<Result<Vec<_>, _>>()?;
    let mut connection = dial(options).await.map_err(failed("connecting".to_owned()))?;
    let mut tx = connection.begin().await.map_err(failed("beginning".to_owned()))?;
    let mut said = Vec::new();
    for (role, verifier) in roles.iter().zip(&verifiers) {
        let name = role.name();
        let made = make(&mut tx, role, verifier.as_ref()).await.map_err(failed(format!("making {name}")))?;
        let may = allow(&mut tx, role).await.map_err(failed(format!("granting {name} its rights")))?;
        said.push(format!("{name}: {made}; {}; may use {}", role.guards(), may.join(", ")));
    }
    tx.commit().await.map_err(failed("keeping it all".to_owned()))?;
    said.iter().for_each(|line| progress(line));
    // Nothing is lost with a connection that ends badly after its work.
    _ = connection.close().await;
    Ok(())
}

fn verifier(role: &Role) -> Result<Option<Verifier>, RolesError> {
    let made = role.password.as_ref().map(|password| Verifier::of(password.expose_secret()));
    made.transpose().map_err(|unfit| RolesError::Password { role: role.name(), unfit })
}

/// The role itself, with its guards. Says what was done.
async fn make(tx: &mut PgConnection, role: &Role, verifier: Option<&Verifier>) -> sqlx::Result<&'static str> {
    let name = role.name();
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(name)
        .fetch_one(&mut *tx)
        .await?;
    if !exists {
        run(tx, format!("CREATE ROLE {name}")).await?;
    }
    let password = verifier.map_or_else(String::new, |verifier| format!(" PASSWORD '{verifier}'"));
    run(tx, format!("ALTER ROLE {name} LOGIN CONNECTION LIMIT {}{password}", role.connections)).await?;
    for (guard, limit) in role.timeouts() {
        run(tx, format!("ALTER ROLE {name} SET {guard} = {}", limit.as_millis())).await?;
    }
    Ok(match (exists, verifier) {
        (false, Some(_)) => "made",
        (false, None) => "made, without a password",
        (true, Some(_)) => "there, with this password now",
        (true, None) => "there, with the password it had",
    })
}

/// What it may do, and nothing that it might do before. Says where that is.
async fn allow(tx: &mut PgConnection, role: &Role) -> sqlx::Result<Vec<String>> {
    let name = role.name();
    for schema in existing(tx, &SCHEMAS).await? {
        run(tx, format!("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}")).await?;
        run(tx, format!("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {name}")).await?;
        run(tx, format!("REVOKE ALL ON SCHEMA {schema} FROM {name}")).await?;
    }
    let own = existing(tx, role.schemas()).await?;
    for schema in &own {
        run(tx, format!("GRANT USAGE ON SCHEMA {schema} TO {name}")).await?;
        for (rights, what) in [("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE", "SEQUENCES")] {
            run(tx, format!("GRANT {rights} ON ALL {what} IN SCHEMA {schema} TO {name}")).await?;
            // Those of later migrations too: between the migration and the next run of this the service goes on.
            let owner = "SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = $1";
            let owner: String = sqlx::query_scalar(owner).bind(schema).fetch_one(&mut *tx).await?;
            let default = "ALTER DEFAULT PRIVILEGES FOR ROLE";
            run(tx, format!("{default} {owner} IN SCHEMA {schema} GRANT {rights} ON {what} TO {name}")).await?;
        }
    }
    let mut may = own;
    for (right, schema, table) in role.elsewhere() {
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(format!("{schema}.{table}"))
            .fetch_one(&mut *tx)
            .await?;
        if there {
            run(tx, format!("GRANT USAGE ON SCHEMA {schema} TO {name}")).await?;
            run(tx, format!("GRANT {right} ON {schema}.{table} TO {name}")).await?;
            may.push(format!("{schema}.{table} ({right})"));
        }
    }
    Ok(may)
}

async fn existing(tx: &mut PgConnection, schemas: &[&str]) -> sqlx::Result<Vec<String>> {
    let there =
        "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY($1) ORDER BY array_position($1, nspname::text)";
    sqlx::query_scalar(there).bind(schemas).fetch_all(tx).await
}

/// Of our own names and numbers alone.
async fn run(tx: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx).await.map(|_| ())
}

fn advice(error: &sqlx::Error, user: &str) -> String {
    let Some(answer) = error.as_database_error().filter(|answer| answer.code().as_deref() == Some("42501")) else {
        return String::new();
    };
    let granted = reason::grant(answer.message(), user);
    let may_not = || {
        format!(
            "`{user}` must own the schemas and may have to make roles. As a superuser say: ALTER ROLE {user} CREATEROLE"
        )
    };
    format!(". {}. Nothing was changed", granted.unwrap_or_else(may_not))
}
