//! The server that everything is measured on, and what is asked of it beside the pools.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use forebay_embedded::Server;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{BenchError, Statement};

/// A server of its own, reached by its unix socket, with a table to look things up in and a function that works.
#[derive(Debug)]
pub(crate) struct Stage {
    server: Server,
    pub(crate) options: PgConnectOptions,
    /// Watches the server beside all pools.
    overseer: Mutex<PgConnection>,
}

const SCHEMA: &str = "
    create table items (id bigint primary key, name text not null, price bigint not null);
    insert into items select id, 'item ' || id, id % 1000 from generate_series(1, 100000) id;
    create function burn(loops int) returns bigint language plpgsql as $$
        declare sum bigint := 0;
        begin for i in 1..loops loop sum := sum + i % 7; end loop; return sum; end $$;
    create table accounts (id bigint primary key, balance bigint not null) with (fillfactor = 80);
    create table tellers (id bigint primary key, balance bigint not null) with (fillfactor = 20);
    create table branches (id bigint primary key, balance bigint not null) with (fillfactor = 10);
    create table hot (id bigint primary key, balance bigint not null) with (fillfactor = 10);
    create table history (account bigint not null, amount bigint not null, at timestamptz not null default now());
    insert into accounts select id, 0 from generate_series(1, 100000) id;
    insert into tellers select id, 0 from generate_series(1, 100) id;
    insert into branches select id, 0 from generate_series(1, 10) id;
    insert into hot values (1, 0);
    create function hot(loops int) returns bigint language plpgsql as $$
        begin update hot set balance = balance + 1 where id = 1; return burn(loops); end $$;
    analyze;";

impl Stage {
    pub(crate) async fn start(progress: impl Fn(&str) + Send) -> Result<Self, BenchError> {
        let settings = [("max_connections", "300"), ("log_connections", "on")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let server = Server::start_temporary(settings.to_vec(), progress).await?;
        let options = PgConnectOptions::from_str(&server.url("postgres"))?;
        let mut overseer = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(SCHEMA).execute(&mut overseer).await?;
        debug_assert_eq!(Statement::ITEMS, 100_000);
        Ok(Self { server, options, overseer: Mutex::new(overseer) })
    }

    pub(crate) async fn stop(self) {
        // The run is over: whatever is wrong with the stop, the guardian ends the server with this process.
        _ = self.server.shutdown().await;
    }

    pub(crate) async fn version(&self) -> Result<String, BenchError> {
        let mut overseer = self.overseer.lock().await;
        Ok(sqlx::query_scalar("show server_version").fetch_one(&mut *overseer).await?)
    }

    pub(crate) fn postmaster(&self) -> u32 {
        self.server.pid()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket_dir().join(".s.PGSQL.5432")
    }

    /// A connection that no pool knows of. A pool that went before may have left thousands of sockets in the server's line,
    /// which it takes one after another though their callers are gone: for ten seconds there may be no place in it, or no session
    /// to be had.
    pub(crate) async fn connect(&self) -> Result<PgConnection, BenchError> {
        let began = Instant::now();
        loop {
            match PgConnection::connect_with(&self.options).await {
                Err(error) if is_crowded(&error) && began.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Connections that the server was asked for so far, those included that nobody waited for.
    pub(crate) fn asked_for(&self) -> Result<Asked, BenchError> {
        let mut file =
            std::fs::File::open(self.server.log_file()).map_err(BenchError::io("opening the server's log"))?;
        let at = file.seek(SeekFrom::End(0)).map_err(BenchError::io("reading the server's log"))?;
        Ok(Asked { file, at })
    }

    /// How many loops of `burn` take so long, on a server that does nothing else.
    pub(crate) async fn loops_for(&self, time: Duration) -> Result<i32, BenchError> {
        const PROBE: i32 = 20_000;
        let mut overseer = self.overseer.lock().await;
        let mut fastest = Duration::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            Statement::Service { sleep_ms: 0.0, loops: PROBE }.on(&mut *overseer).await?;
            fastest = fastest.min(began.elapsed());
        }
        let loops = f64::from(PROBE) * time.as_secs_f64() / fastest.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, reason = "some tens of thousands")]
        Ok(loops.clamp(1.0, 1e9) as i32)
    }

    /// Waits until every session of the turn before is gone, so that it does not take part in the next. What does not go
    /// within two seconds is ended.
    pub(crate) async fn settle(&self) -> Result<(), BenchError> {
        const OTHERS: &str = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
        let mut overseer = self.overseer.lock().await;
        let began = Instant::now();
        loop {
            let count = sqlx::AssertSqlSafe(format!("select count(*) {OTHERS}"));
            let left: i64 = sqlx::query_scalar(count).fetch_one(&mut *overseer).await?;
            if left == 0 {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(2) {
                let end = sqlx::AssertSqlSafe(format!("select pg_terminate_backend(pid) {OTHERS}"));
                sqlx::query(end).execute(&mut *overseer).await?;
            }
            if began.elapsed() > Duration::from_secs(20) {
                return Err(BenchError::turn(format!("{left} sessions do not go, 20 s after their pool did")));
            }
            Statement::Sleep(2.0).on(&mut *overseer).await?;
        }
    }
}

/// No place in the server's line, or all of its sessions are taken (SQLSTATE 53300).
fn is_crowded(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::WouldBlock,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "53300"),
        _ => false,
    }
}

/// A place in the server's log.
#[derive(Debug)]
pub(crate) struct Asked {
    file: std::fs::File,
    at: u64,
}

impl Asked {
    /// Connections that the server was asked for since.
    pub(crate) fn since(mut self) -> Result<u32, BenchError> {
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(self.at)).map_err(BenchError::io("reading the server's log"))?;
        self.file.read_to_end(&mut text).map_err(BenchError::io("reading the server's log"))?;
        let asked = String::from_utf8_lossy(&text).matches("connection received").count();
        Ok(u32::try_from(asked).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_finds_all_sessions_taken_waits_for_one() {
        let stage = Stage::start(|_| {}).await.unwrap();
        let mut taken = Vec::new();
        let refused = loop {
            match PgConnection::connect_with(&stage.options).await {
                Ok(connection) => taken.push(connection),
                Err(error) => break error,
            }
        };
        assert!(taken.len() > 200, "{}", taken.len());
        assert!(is_crowded(&refused), "{refused}");
        let (connected, ()) = tokio::join!(stage.connect(), async { drop(taken) });
        connected.unwrap();
        stage.stop().await;
    }
}
