//! What is made of it: numbers, and what to change.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    database::{self, told},
    pool,
};

/// A call site is told to change when its leases do nothing for so many connections, on average.
const WORTH: f64 = 0.1;
/// And for such a share of their time.
const SHARE: f64 = 0.2;
/// So many leases say something of a shop.
const LEASES: u64 = 100;
/// So many rows of each table are printed.
const ROWS: usize = 10;

/// Who holds connections, which statements take the time, and what to change.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The shop, as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    shop: Option<String>,
    /// The server's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<String>,
    /// Of how many seconds the shop's numbers are.
    seconds: f64,
    /// How many connections were out at once on average, and how many there may be.
    connections: f64,
    ceiling: u32,
    /// Call sites, those first that hold most.
    sites: Vec<Holder>,
    /// Statements as the shop saw them, those first that took most time.
    statements: Vec<Taker>,
    /// Statements as the server counted them, and in how many seconds.
    server_statements: Vec<Taker>,
    server_seconds: f64,
    /// Sessions that keep a transaction open and do nothing.
    idle_in_transaction: Vec<Waiter>,
    /// What to change, what saves most first.
    advice: Vec<Advice>,
    /// How many connections all of it saves at most.
    saves: f64,
    /// What was not seen, and what to do about it.
    unseen: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Holder {
    site: String,
    leases: u64,
    /// Of the time of all connections, in percent.
    percent: f64,
    connections: f64,
    idle_connections: f64,
    longest_ms: f64,
    taken_back: u64,
}

#[derive(Debug, Serialize)]
struct Taker {
    summary: String,
    percent: f64,
    connections: f64,
    calls: u64,
    mean_ms: f64,
    longest_ms: f64,
    /// Rows a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<f64>,
    /// Blocks of 8 KiB a call, from memory or the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Waiter {
    pid: i32,
    application: String,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Advice {
    /// `release_earlier`, `give_back`, `index`, `drop_index`.
    kind: &'static str,
    what: String,
    /// How many connections it saves on average, at most.
    saves: f64,
}

impl Report {
    /// `after` is the time of which there must be numbers for advice.
    pub(super) fn of(
        pool: Result<pool::Seen, String>,
        database: Result<database::Seen, String>,
        after: Duration,
    ) -> Self {
        let mut report = Self {
            shop: None,
            postgres: None,
            seconds: 0.0,
            connections: 0.0,
            ceiling: 0,
            sites: Vec::new(),
            statements: Vec::new(),
            server_statements: Vec::new(),
            server_seconds: 0.0,
            idle_in_transaction: Vec::new(),
            advice: Vec::new(),
            saves: 0.0,
            unseen: Vec::new(),
        };
        match pool {
            Ok(pool) => report.read_pool(pool, after),
            Err(why) => report.unseen.push(why),
        }
        match database {
            Ok(database) => report.read_database(database, after),
            Err(why) => report.unseen.push(why),
        }
        report.advice.sort_by(|one, other| other.saves.total_cmp(&one.saves));
        // A sum of none would be -0.0.
        report.saves = report.advice.iter().fold(0.0, |sum, advice| sum + advice.saves);
        report
    }

    /// Whether neither the shop nor its database was seen.
    pub(super) const fn is_blind(&self) -> bool {
        self.shop.is_none() && self.postgres.is_none()
    }

    fn read_pool(&mut self, pool: pool::Seen, after: Duration) {
        let pool::Seen { at, kind, age_ms, ceiling, call_sites, statements } = pool;
        (self.shop, self.seconds, self.ceiling) = (Some(at), age_ms / 1_000.0, ceiling);
        if kind != "forebay" {
            return self.unseen.push("call sites and statements: sqlx's own pool keeps no account of them".to_owned());
        }
        // Little's law: what is there on average is what comes in a second, times how long each stays.
        let (age, all) = (age_ms.max(1.0), call_sites.iter().map(|site| site.held_ms).sum::<f64>());
        self.connections = all / age;
        let holder = |site: pool::Site| Holder {
            percent: percent(site.held_ms, all),
            connections: site.held_ms / age,
            idle_connections: site.idle_ms / age,
            site: site.site,
            leases: site.leases,
            longest_ms: site.longest_ms,
            taken_back: site.taken_back,
        };
        self.sites = call_sites.into_iter().map(holder).collect();
        self.sites.sort_by(|one, other| other.connections.total_cmp(&one.connections));
        let all = statements.iter().map(|of| of.took_ms).sum::<f64>();
        let taker = |of: pool::Statement| Taker {
            percent: percent(of.took_ms, all),
            connections: of.took_ms / age,
            calls: of.calls,
            mean_ms: of.took_ms / of.calls.max(1) as f64,
            longest_ms: of.longest_ms,
            rows: None,
            blocks: None,
            failed: Some(of.failed.values().sum()),
            summary: of.summary,
        };
        self.statements = statements.into_iter().map(taker).collect();
        let leases: u64 = self.sites.iter().map(|site| site.leases).sum();
        let left = left_of(after, self.seconds);
        if !left.is_zero() {
            let left = told(left + Duration::from_millis(999));
            self.unseen.push(format!("what to change in the shop: it has only begun; ask again in {left}"));
        } else if leases < LEASES {
            let asked =
                format!("it has lent a connection {leases} times; ask again when it has been used {LEASES} times");
            self.unseen.push(format!("what to change in the shop: {asked}"));
        } else {
            let advice: Vec<_> = self.sites.iter().filter_map(advice_for).collect();
            self.advice.extend(advice);
        }
    }

    fn read_database(&mut self, database: database::Seen, after: Duration) {
        let database::Seen { version, statements, window, missing, unused, idle_in_transaction, unseen } = database;
        (self.postgres, self.server_seconds) = (Some(version), window.as_secs_f64());
        self.unseen.extend(unseen);
        let age = (self.server_seconds * 1_000.0).max(1.0);
        let all = statements.iter().map(|of| of.total_ms).sum::<f64>();
        let taker = |of: &database::Statement| {
            let calls = of.calls.max(1) as f64;
            Taker {
                summary: of.summary.clone(),
                percent: percent(of.total_ms, all),
                connections: of.total_ms / age,
                calls: of.calls.unsigned_abs(),
                mean_ms: of.total_ms / calls,
                longest_ms: of.max_ms,
                rows: Some(of.rows as f64 / calls),
                blocks: Some(of.blocks as f64 / calls),
                failed: None,
            }
        };
        self.server_statements = statements.iter().map(taker).collect();
        let left = left_of(after, self.server_seconds);
        if left.is_zero() || statements.is_empty() {
            self.advise_indexes(&missing);
        } else {
            let left = told(left + Duration::from_millis(999));
            self.unseen.push(format!(
                "what to change in the database: its statements are counted since a moment; ask again in {left}"
            ));
        }
        for database::Unused { name, table, bytes } in unused {
            let size = bytes / 1_048_576;
            let what = format!(
                "DROP INDEX CONCURRENTLY {name}; -- nobody has used it since the server counts; {size} MiB that each write to {table} keeps up. \
                 First make sure that no standby uses it"
            );
            self.advice.push(Advice { kind: "drop_index", what, saves: 0.0 });
        }
        let waiter =
            |idle: database::Idle| Waiter { pid: idle.pid, application: idle.application, seconds: idle.seconds };
        self.idle_in_transaction = idle_in_transaction.into_iter().map(waiter).collect();
    }

    fn advise_indexes(&mut self, missing: &[database::Missing]) {
        for database::Missing { table, columns, table_rows, chosen_rows, statement } in missing {
            let Taker { summary, connections, calls, mean_ms, .. } = &self.server_statements[*statement];
            let what = format!(
                "CREATE INDEX CONCURRENTLY ON {table} ({}); -- `{summary}` reads all {table_rows:.0} rows of it to find about \
                 {chosen_rows:.0}, {calls} times, {} each",
                columns.join(", "),
                time(*mean_ms)
            );
            self.advice.push(Advice { kind: "index", what, saves: *connections });
        }
    }
}

fn left_of(after: Duration, seconds: f64) -> Duration {
    after.saturating_sub(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn percent(part: f64, all: f64) -> f64 {
    if all > 0.0 { 100.0 * part / all } else { 0.0 }
}

fn advice_for(of: &Holder) -> Option<Advice> {
    let Holder { site, connections, idle_connections: saves, taken_back, leases, .. } = of;
    if *saves < WORTH || *saves < SHARE * connections || site == "other" {
        return None;
    }
    let share = percent(*saves, *connections);
    let (kind, what) = if *taken_back > 0 {
        let lost = format!("the pool took {taken_back} of {leases} leases back from it, which ran nothing any more");
        ("give_back", format!("{site}: give the lease back on every path; {lost}"))
    } else {
        let how =
            "take the lease later, or drop it before what is done between its statements (a call, a hash, a rendering)";
        ("release_earlier", format!("{site}: {how}; it runs no statement for {share:.0} % of the time"))
    };
    Some(Advice { kind, what, saves: *saves })
}

fn time(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = |seconds: f64| told(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        if let Some(shop) = &self.shop {
            writeln!(f, "The shop at {shop}, in the {} since it began", since(self.seconds))?;
            let Self { connections, ceiling, .. } = self;
            writeln!(f, "\nWho holds connections: {connections:.2} on average, of {ceiling} at most")?;
            writeln!(
                f,
                "{:>7} {:>12} {:>8} {:>9} {:>9}  taken at",
                "of all", "connections", "of it idle", "longest", "leases"
            )?;
            for of in self.sites.iter().take(ROWS) {
                let idle = percent(of.idle_connections, of.connections);
                let back = if of.taken_back > 0 { format!(", {} taken back", of.taken_back) } else { String::new() };
                let longest = time(of.longest_ms);
                writeln!(
                    f,
                    "{:>5.1} % {:>12.2} {idle:>8.0} % {longest:>9} {:>9}  {}{back}",
                    of.percent, of.connections, of.leases, of.site
                )?;
            }
            takers(f, "Which statements take the time, as the shop saw them", &self.statements)?;
        }
        if let Some(postgres) = &self.postgres {
            writeln!(f, "\nPostgres {postgres}")?;
            if !self.server_statements.is_empty() {
                let title = format!(
                    "Which statements take the time, as the server counted them in {}",
                    since(self.server_seconds)
                );
                takers(f, &title, &self.server_statements)?;
            }
            for Waiter { pid, application, seconds } in &self.idle_in_transaction {
                writeln!(f, "idle in transaction for {}: process {pid} of `{application}`", since(*seconds))?;
            }
        }
        if !self.unseen.is_empty() {
            writeln!(f, "\nNot seen")?;
        }
        for what in &self.unseen {
            writeln!(f, "  {what}")?;
        }
        if self.is_blind() {
            return write!(f, "\nNothing was seen, so nothing is advised");
        }
        if self.advice.is_empty() {
            return write!(f, "\nNothing to change was found in what was seen");
        }
        writeln!(f, "\nWhat to change")?;
        for (number, Advice { what, saves, .. }) in (1..).zip(&self.advice) {
            let saved = if *saves > 0.0 { format!(" Saves up to {saves:.2} connections") } else { String::new() };
            writeln!(f, "{number:>3}. {what}.{saved}")?;
        }
        let Self { saves, connections, .. } = self;
        if *connections > 0.0 {
            write!(
                f,
                "All of it saves up to {saves:.2} connections at once, of {connections:.2} that are out on average"
            )
        } else {
            write!(f, "All of it saves up to {saves:.2} connections at once")
        }
    }
}

fn takers(f: &mut fmt::Formatter<'_>, title: &str, all: &[Taker]) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    writeln!(f, "{:>7} {:>12} {:>9} {:>9} {:>9}  does", "of all", "connections", "calls", "mean", "longest")?;
    for of in all.iter().take(ROWS) {
        let (mean, longest) = (time(of.mean_ms), time(of.longest_ms));
        write!(
            f,
            "{:>5.1} % {:>12.2} {:>9} {mean:>9} {longest:>9}  {}",
            of.percent, of.connections, of.calls, of.summary
        )?;
        if let Some((rows, blocks)) = of.rows.zip(of.blocks) {
            write!(f, ", {rows:.1} rows and {blocks:.0} blocks a call")?;
        }
        match of.failed {
            Some(failed) if failed > 0 => writeln!(f, ", {failed} failed")?,
            _ => writeln!(f)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn site(name: &str, leases: u64, held_ms: f64, idle_ms: f64, taken_back: u64) -> pool::Site {
        pool::Site { site: name.to_owned(), leases, held_ms, idle_ms, longest_ms: 5_000.0, taken_back }
    }

    fn pool(age: Duration, call_sites: Vec<pool::Site>) -> Result<pool::Seen, String> {
        let age_ms = age.as_secs_f64() * 1_000.0;
        let at = "http://127.0.0.1:9090".to_owned();
        Ok(pool::Seen { at, kind: "forebay".to_owned(), age_ms, ceiling: 8, call_sites, statements: Vec::new() })
    }

    #[test]
    fn what_is_held_for_nothing_is_saved_by_littles_law() {
        let sites = vec![
            site("busy.rs:1:1", 10_000, 60_000.0, 300.0, 0),
            site("leak.rs:2:2", 24, 120_000.0, 118_800.0, 24),
            site("slow.rs:3:3", 500, 30_000.0, 15_000.0, 0),
        ];
        let report = Report::of(pool(MINUTE, sites), Err("no database".to_owned()), MINUTE);
        assert!((report.connections - 3.5).abs() < 1e-9, "{report:?}");
        let order: Vec<_> = report.sites.iter().map(|of| of.site.as_str()).collect();
        assert_eq!(order, ["leak.rs:2:2", "busy.rs:1:1", "slow.rs:3:3"]);
        let advice: Vec<_> = report.advice.iter().map(|advice| (advice.kind, advice.saves)).collect();
        assert_eq!(advice, [("give_back", 1.98), ("release_earlier", 0.25)]);
        let said = report.to_string();
        assert!(
            said.ends_with("All of it saves up to 2.23 connections at once, of 3.50 that are out on average"),
            "{said}"
        );
        assert!(said.contains("24 taken back") && said.contains("no database"), "{said}");
    }

    #[test]
    fn too_little_is_no_ground_for_advice_and_how_much_longer_to_wait_is_said() {
        let sites = || vec![site("leak.rs:2:2", 24, 12_000.0, 11_000.0, 24)];
        for (age, sites, wanted) in [
            (Duration::ZERO, Vec::new(), "ask again in 60 s"),
            (Duration::from_secs(12), sites(), "ask again in 48 s"),
            (MINUTE, sites(), "24 times; ask again when it has been used 100 times"),
            (MINUTE, Vec::new(), "0 times"),
        ] {
            let report = Report::of(pool(age, sites), Err(String::new()), MINUTE);
            let said = report.to_string();
            assert!(report.advice.is_empty() && said.contains(wanted) && !said.contains("NaN"), "{said}");
        }
    }

    #[test]
    fn who_sees_nothing_says_what_to_do() {
        let report = Report::of(Err("start the shop".to_owned()), Err("start the server".to_owned()), MINUTE);
        let said = report.to_string();
        assert!(report.is_blind() && said.contains("start the shop") && said.contains("start the server"), "{said}");
        assert!(said.ends_with("Nothing was seen, so nothing is advised"), "{said}");
        assert!(report.saves.is_sign_positive(), "{}", report.saves);
    }
}
