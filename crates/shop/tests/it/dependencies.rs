//! Who may import whom: the table in ARCHITECTURE.md, kept by a machine.

use std::{collections::BTreeSet, process::Command};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each crate with those of ours that it may depend on, development aside.
const MAY_IMPORT: [(&str, &[&str]); 18] = [
    ("pool-core", &[]),
    ("embedded", &[]),
    ("pool", &["pool-core"]),
    ("platform", &["pool"]),
    ("catalog", &["platform", "pool"]),
    ("auth", &["platform", "pool"]),
    ("checkout", &["platform", "pool"]),
    ("storefront", &["platform"]),
    ("shop", &["catalog", "auth", "checkout", "storefront", "platform", "pool", "embedded"]),
    ("wire", &[]),
    ("races", &["pool-core", "races-rand", "races-sqlx", "races-stream", "races-tokio"]),
    ("races-rand", &[]),
    ("races-sqlx", &["races-tokio"]),
    ("races-stream", &[]),
    ("races-tokio", &[]),
    ("sim", &["pool-core"]),
    ("peers", &["shop", "auth", "checkout", "platform", "pool", "embedded", "wire"]),
    ("chaos", &["shop", "platform", "pool", "embedded", "sim", "catalog", "auth", "checkout"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).no_deps().exec().unwrap()
}

/// Names without the common prefix.
fn ours(package: &str) -> Option<&str> {
    package.strip_prefix("forebay-")
}

#[test]
fn crates_import_only_what_the_table_allows() {
    for package in metadata().workspace_packages() {
        let name = ours(&package.name).expect("packages carry the prefix");
        let allowed = MAY_IMPORT.iter().find(|(known, _)| *known == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is new: give it a line in the table"));
        let imports = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        for import in imports.filter_map(|dependency| ours(&dependency.name)) {
            assert!(allowed.contains(&import), "{name} must not import {import}");
        }
    }
}

#[test]
fn nothing_imports_chaos_not_even_in_its_tests() {
    for package in metadata().workspace_packages() {
        let imports: BTreeSet<_> = package.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
        assert!(!imports.contains("forebay-chaos"), "{}", package.name);
    }
}

#[test]
fn what_decides_depends_on_nothing() {
    let metadata = metadata();
    let core =
        metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == "forebay-pool-core").unwrap();
    let imports = core.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    assert_eq!(imports.count(), 0);
}

/// What cargo would build for the shop alone, as it is released.
fn release_tree(arguments: &[&str]) -> String {
    let released = ["--package", "forebay-shop", "--edges", "normal,build"];
    tree(&[&released, arguments].concat())
}

fn tree(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline"]).args(arguments);
    let said = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn a_build_of_the_shop_has_no_seam_for_faults() {
    let features = release_tree(&["--format", "{p} [{f}]", "--prefix", "none"]);
    assert!(features.contains("forebay-platform"), "{features}");
    assert!(!features.contains("fault-seam"), "{features}");
    assert!(!features.contains("forebay-embedded v0.1.0 [testing]"), "{features}");
}

#[test]
fn the_default_build_stays_lean() {
    let tree = release_tree(&["--format", "{p}", "--prefix", "none"]);
    let packages: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(packages.len() <= 300, "{} packages", packages.len());
}

#[test]
fn spans_are_sent_only_by_a_build_that_was_asked_for_it_and_by_the_client_that_is_there() {
    let names = ["--format", "{p}", "--prefix", "none"];
    assert!(!release_tree(&names).contains("opentelemetry"));
    let sends = release_tree(&[&names[..], &["--features", "otlp"]].concat());
    assert!(sends.contains("opentelemetry-otlp"), "{sends}");
    for unwanted in ["reqwest", "tonic", "zlib-rs"] {
        assert!(!sends.contains(unwanted), "{unwanted} is built too");
    }
}

#[test]
fn containers_are_built_only_where_they_are_asked_for() {
    let everything = tree(&["--workspace", "--edges", "all", "--format", "{p}", "--prefix", "none"]);
    let packages: BTreeSet<_> = everything.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(packages.contains("forebay-chaos") && packages.contains("proptest"), "{packages:?}");
    for unwanted in ["testcontainers", "bollard"] {
        assert!(!packages.contains(unwanted), "{unwanted} is built by default: see who enables testing-containers");
    }
}
