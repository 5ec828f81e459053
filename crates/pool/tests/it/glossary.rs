//! The glossary of `ARCHITECTURE.md`: a word stands for one thing, so the type that has its name is the only one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Crates = BTreeSet<String>;

/// The types of the last column, and the crates that may have one of that name.
fn promised(page: &str) -> BTreeMap<String, Crates> {
    let section = page.split("\n## ").find(|section| section.starts_with("Glossary\n")).expect("there is a glossary");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().expect("a column");
        let (name, crates) = last.trim().trim_start_matches('`').split_once('`').expect("a type");
        (name.to_owned(), crates.split(',').map(|name| name.trim().to_owned()).collect())
    })
    .collect()
}

/// The name that a line of source gives to a type.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(')')?.1,
        None => line.strip_prefix("pub ").unwrap_or(line),
    };
    let (kind, rest) = line.trim_start().split_once(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    ["struct", "enum", "trait", "union"].contains(&kind).then_some(name)
}

fn look(folder: &Path, of: &str, found: &mut BTreeMap<String, Crates>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            look(&path, of, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("text");
            for name in text.lines().filter_map(declared) {
                found.entry(name.to_owned()).or_default().insert(of.to_owned());
            }
        }
    }
}

#[test]
fn a_word_of_the_glossary_names_one_type() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the map");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates")).expect("a folder") {
        let path = entry.expect("an entry").path();
        look(&path.join("src"), path.file_name().and_then(|name| name.to_str()).unwrap_or_default(), &mut found);
    }
    let promised = promised(&page);
    assert!(promised.len() > 20, "{promised:?}");
    for (name, crates) in promised {
        assert_eq!(found.get(&name), Some(&crates), "the crates that have a type {name}, and what the glossary says");
    }
}
