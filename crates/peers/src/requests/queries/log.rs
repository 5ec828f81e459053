use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use forebay_embedded::Server;
use serde_json::Value;

use crate::BenchError;

/// What each entry of the server's log begins with: nothing that a statement has.
pub(super) const PREFIX: &str = "@@%p@";
const MARK: &str = "@@";

/// A server's log, from where it was last read to.
#[derive(Debug)]
pub(super) struct Log(File);

/// A statement that stood alone, or a whole transaction, with BEGIN and COMMIT.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Unit {
    /// Its statements, in one line each.
    pub(super) texts: Vec<String>,
    /// What all of it took the server.
    pub(super) millis: f64,
}

/// How a statement was planned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// In one line.
    pub(super) text: String,
    /// Indexes that it reads by.
    pub(super) indexes: BTreeSet<String>,
    /// Tables that it reads whole.
    pub(super) whole: BTreeSet<String>,
}

impl Log {
    /// From its present end.
    pub(super) fn of(server: &Server) -> Result<Self, BenchError> {
        let mut file = File::open(server.log_file()).map_err(BenchError::io("opening the server's log"))?;
        file.seek(SeekFrom::End(0)).map_err(BenchError::io("reading the server's log"))?;
        Ok(Self(file))
    }

    /// What was written down since then.
    pub(super) fn units(&mut self) -> Result<Vec<Unit>, BenchError> {
        Ok(units(&self.rest()?))
    }

    /// What was written down since then.
    pub(super) fn plans(&mut self) -> Result<Vec<Plan>, BenchError> {
        plans(&self.rest()?)
    }

    fn rest(&mut self) -> Result<String, BenchError> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).map_err(BenchError::io("reading the server's log"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Of each entry that tells a time: whose it is, the milliseconds, and what comes behind.
fn entries(log: &str) -> impl Iterator<Item = (&str, f64, &str)> {
    let log = log.strip_prefix(MARK).unwrap_or(log);
    log.split("\n@@").filter_map(|entry| {
        let (process, rest) = entry.split_once('@')?;
        let (millis, what) = rest.strip_prefix("LOG:  duration: ")?.split_once(" ms")?;
        Some((process, millis.parse().ok()?, what.trim_start()))
    })
}

fn units(log: &str) -> Vec<Unit> {
    let mut open: HashMap<&str, Unit> = HashMap::new();
    let mut units = Vec::new();
    for (process, millis, what) in entries(log) {
        let Some((step, text)) = what.split_once(": ") else { continue };
        let unit = open.entry(process).or_default();
        unit.millis += millis;
        // Parsing and binding are the statement's too, which has not run yet.
        if !step.starts_with("execute") && step != "statement" {
            continue;
        }
        unit.texts.push(in_one_line(text));
        let ends = |word: &str| unit.texts.last().is_some_and(|text| text.to_lowercase().starts_with(word));
        let begun = unit.texts.first().is_some_and(|text| text.to_lowercase().starts_with("begin"));
        if !begun || ends("commit") || ends("rollback") {
            units.extend(open.remove(process));
        }
    }
    units
}

fn plans(log: &str) -> Result<Vec<Plan>, BenchError> {
    let plans = entries(log).filter_map(|(_, _, what)| what.strip_prefix("plan:"));
    let plan = |json: &str| {
        let told: Value = serde_json::from_str(json).map_err(BenchError::turn)?;
        let text = in_one_line(told["Query Text"].as_str().unwrap_or_default());
        let mut plan = Plan { text, indexes: BTreeSet::new(), whole: BTreeSet::new() };
        plan.add(&told["Plan"]);
        Ok(plan)
    };
    plans.map(plan).collect()
}

impl Plan {
    fn add(&mut self, node: &Value) {
        let text = |name: &str| node[name].as_str().map(str::to_owned);
        self.indexes.extend(text("Index Name"));
        if node["Node Type"] == "Seq Scan" {
            self.whole.extend(text("Relation Name"));
        }
        for inner in node["Plans"].as_array().into_iter().flatten() {
            self.add(inner);
        }
    }
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "@@7@LOG:  duration: 0.250 ms  parse s1: select a\n  from b\n@@8@LOG:  duration: 0.500 ms  statement: BEGIN\n\
        @@7@LOG:  duration: 0.125 ms  bind s1: select a\n  from b\n@@7@LOG:  duration: 1.000 ms  execute s1: select a\n  from b\n\
        @@8@LOG:  checkpoint starting: time\n@@8@LOG:  duration: 2.000 ms  execute s2: update c\n@@8@LOG:  duration: 4.000 ms  statement: COMMIT\n\
        @@8@LOG:  duration: 8.000 ms  execute <unnamed>: select d: e\n";

    #[test]
    fn a_statement_takes_what_its_parts_take_and_a_transaction_what_its_statements_do() {
        let unit =
            |texts: &[&str], millis| Unit { texts: texts.iter().map(|text| (*text).to_owned()).collect(), millis };
        let found = units(LOG);
        let all = [
            unit(&["select a from b"], 1.375),
            unit(&["BEGIN", "update c", "COMMIT"], 6.5),
            unit(&["select d: e"], 8.0),
        ];
        assert_eq!(found, all);
        assert!(units("").is_empty());
    }

    #[test]
    fn of_a_plan_it_is_told_which_indexes_it_reads_and_which_tables_whole() {
        let log = r#"@@7@LOG:  duration: 0.010 ms  plan:
    {"Query Text": "select\n a", "Plan": {"Node Type": "Nested Loop", "Plans": [
        {"Node Type": "Seq Scan", "Relation Name": "b"}, {"Node Type": "Index Scan", "Index Name": "c_idx", "Relation Name": "c"}]}}
"#;
        let [found] = &plans(log).expect("it can be read")[..] else { panic!("it is one plan") };
        assert_eq!(found.text, "select a");
        assert!(found.indexes.iter().eq(["c_idx"]) && found.whole.iter().eq(["b"]));
    }
}
