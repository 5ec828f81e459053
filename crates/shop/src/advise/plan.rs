//! Which index a plan lacks: a table that is read whole, and the columns by which its rows are chosen.

use serde_json::Value;

/// A table that a plan reads whole, to choose rows of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WholeRead {
    pub(super) schema: String,
    pub(super) table: String,
    /// What its rows are chosen by, those compared with `=` first.
    pub(super) columns: Vec<String>,
    /// How many rows are expected to be chosen.
    pub(super) rows: f64,
}

/// All of a plan in JSON (`EXPLAIN (VERBOSE, FORMAT JSON)`). A table of which no column is compared alone is left out: no
/// simple index would serve it.
pub(super) fn whole_reads(plan: &Value) -> Vec<WholeRead> {
    let mut found = Vec::new();
    collect(plan, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<WholeRead>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
        Value::Object(node) => {
            found.extend(of_node(value).filter(|read| !found.contains(read)));
            node.values().filter(|value| value.is_array() || value.is_object()).for_each(|one| collect(one, found));
        }
        _ => {}
    }
}

fn of_node(node: &Value) -> Option<WholeRead> {
    let text = |name: &str| node[name].as_str();
    if text("Node Type")? != "Seq Scan" {
        return None;
    }
    let (schema, table, alias) = (text("Schema")?, text("Relation Name")?, text("Alias")?);
    let columns = columns_of(text("Filter")?, alias)?;
    let rows = node["Plan Rows"].as_f64().unwrap_or(f64::INFINITY);
    Some(WholeRead { schema: schema.to_owned(), table: table.to_owned(), columns, rows })
}

/// The columns of `alias` that a filter compares with something else than columns.
fn columns_of(filter: &str, alias: &str) -> Option<Vec<String>> {
    let (mut equal, mut ranged) = (Vec::new(), Vec::new());
    for condition in conjuncts(filter) {
        let Some((left, operator, right)) = comparison(condition) else { continue };
        let named = |side: &str| column(side, alias);
        let (name, other) = match (named(left), named(right)) {
            (Some(name), None) => (name, right),
            (None, Some(name)) => (name, left),
            _ => continue,
        };
        if other.contains(&format!("{alias}.")) {
            continue;
        }
        let columns = if operator == "=" { &mut equal } else { &mut ranged };
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    // Behind the first range an index chooses no more.
    equal.extend(ranged.into_iter().take(1));
    let mut columns = Vec::new();
    for name in equal {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    columns.truncate(4);
    (!columns.is_empty()).then_some(columns)
}

/// `((a) AND (b))` as `a` and `b`; anything else as it is.
fn conjuncts(filter: &str) -> Vec<&str> {
    let inner = unwrapped(filter);
    let parts = split(inner, " AND ");
    if parts.len() > 1 { parts.into_iter().map(unwrapped).collect() } else { vec![inner] }
}

/// Without the parentheses around all of it.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) if is_balanced(inner) => unwrapped(inner),
        _ => text,
    }
}

fn is_balanced(text: &str) -> bool {
    let mut depth = 0_i32;
    depths(text).all(|(_, step)| {
        depth += step;
        depth >= 0
    }) && depth == 0
}

/// Each byte outside of quotes, and whether it opens or closes a parenthesis.
fn depths(text: &str) -> impl Iterator<Item = (usize, i32)> {
    let mut quote = None;
    text.bytes().enumerate().filter_map(move |(at, byte)| match (quote, byte) {
        (Some(open), _) if byte == open => {
            quote = None;
            None
        }
        (Some(_), _) => None,
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            None
        }
        (None, b'(' | b'[') => Some((at, 1)),
        (None, b')' | b']') => Some((at, -1)),
        (None, _) => Some((at, 0)),
    })
}

/// At a separator that stands in no parentheses and no quotes.
fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, step) in depths(text) {
        depth += step;
        if depth == 0 && at >= from && text.as_bytes()[at..].starts_with(separator.as_bytes()) {
            parts.push(&text[from..at]);
            from = at + separator.len();
        }
    }
    parts.push(&text[from..]);
    parts
}

/// What an index can look up: `=` and the four orders.
fn comparison(condition: &str) -> Option<(&str, &str, &str)> {
    [" = ", " >= ", " <= ", " > ", " < "].into_iter().find_map(|operator| match split(condition, operator)[..] {
        [left, right] => Some((unwrapped(left), operator.trim(), unwrapped(right))),
        _ => None,
    })
}

/// The name of a column that stands alone, as Postgres writes it; a cast of text to text does not matter to an index.
fn column(side: &str, alias: &str) -> Option<String> {
    let side = side.strip_suffix("::text").map_or(side, unwrapped);
    let name = side.strip_prefix(alias).or_else(|| side.strip_prefix(&format!("\"{alias}\"")))?.strip_prefix('.')?;
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty();
    match quoted {
        Some(inner) if !inner.contains('"') => Some(name.to_owned()),
        None if plain(name) => Some(name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(filter: &str) -> Vec<String> {
        columns_of(filter, "t").unwrap_or_default()
    }

    #[test]
    fn only_columns_that_are_compared_alone_are_proposed_and_equal_ones_first() {
        for (filter, wanted) in [
            ("(t.a = $1)", vec!["a"]),
            ("((t.at > $1) AND (t.a = $2) AND ((t.b)::text = 'x AND y'::text))", vec!["a", "b", "at"]),
            ("(t.a = ANY ($1))", vec!["a"]),
            ("($1 = t.\"My Column\")", vec!["\"My Column\""]),
            ("((t.a > $1) AND (t.b < $2))", vec!["a"]),
            ("((t.a = $1) OR (t.b = $2))", vec![]),
            ("(lower(t.a) = $1)", vec![]),
            ("(t.a = t.b)", vec![]),
            ("(t.a <> $1)", vec![]),
            ("(t.a = (t.b + 1))", vec![]),
            ("(t.a ~~ 'x = y'::text)", vec![]),
            ("(t.active)", vec![]),
            ("", vec![]),
            (")(", vec![]),
            ("('unclosed", vec![]),
        ] {
            assert_eq!(columns(filter), wanted, "{filter}");
        }
    }

    #[test]
    fn each_table_that_is_read_whole_is_found_however_deep() {
        let scan = |table: &str| json!({"Node Type": "Seq Scan", "Schema": "s", "Relation Name": table, "Alias": "x", "Filter": "(x.a = $1)", "Plan Rows": 7});
        let plan = json!([{"Plan": {"Node Type": "Hash Join", "Plans": [scan("t"), {"Node Type": "Hash", "Plans": [scan("u"), scan("t")]}]}}]);
        let tables: Vec<_> = whole_reads(&plan).into_iter().map(|read| read.table).collect();
        assert_eq!(tables, ["t", "u"]);
        let unfiltered = json!({"Node Type": "Seq Scan", "Schema": "s", "Relation Name": "t", "Alias": "t"});
        assert_eq!(whole_reads(&unfiltered), []);
        assert_eq!(whole_reads(&json!("nonsense")), []);
    }
}
