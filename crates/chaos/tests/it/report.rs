//! The report on the command line: written again, and told where it cannot be.

use std::path::Path;
use std::process::{Command, Output};

use crate::program;

/// A report of an incident in which nothing was played.
const RECORD: &str = include_str!("record.json");

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_report_is_written_again_from_its_record() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("report.json"), RECORD).unwrap();
    let output = Command::new(program()).arg("report").arg(folder.path()).output().unwrap();
    assert_eq!(said(&output), (Some(0), String::new()));
    assert_eq!(names(folder.path()), ["report.html", "report.json", "report.md"]);
    let elsewhere = folder.path().join("elsewhere");
    let record = folder.path().join("report.json");
    let output = Command::new(program()).arg("report").arg(record).arg("--out").arg(&elsewhere).output().unwrap();
    assert_eq!(said(&output), (Some(0), String::new()));
    assert_eq!(names(&elsewhere), ["report.html", "report.json", "report.md"]);
    let page = std::fs::read_to_string(elsewhere.join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
}

#[test]
fn what_is_no_record_is_told_with_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    let run = || said(&Command::new(program()).arg("report").arg(folder.path()).output().unwrap());
    let (code, text) = run();
    assert!(code == Some(3) && text.contains("cannot be read"), "{text}");
    std::fs::write(folder.path().join("report.json"), &RECORD[..RECORD.len() / 2]).unwrap();
    let (code, text) = run();
    assert!(code == Some(3) && text.contains("is no report of a replay"), "{text}");
    assert_eq!(names(folder.path()), ["report.json"]);
}

/// A limit of 8 KiB a file stands for a disk that is full half-way.
#[test]
fn a_disk_that_is_full_half_way_leaves_what_was_there_and_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("record.json"), RECORD).unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("report.html"), "of the run before").unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" report \"$1\" --out \"$2\"";
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(program()).arg(folder.path().join("record.json")).arg(&out);
    let (code, text) = said(&shell.output().unwrap());
    assert!(code == Some(3), "{code:?} {text}");
    assert!(text.contains("the report cannot be written to") && text.contains("Make room there"), "{text}");
    assert_eq!(names(&out), ["report.html"]);
    assert_eq!(std::fs::read_to_string(out.join("report.html")).unwrap(), "of the run before");
}

/// A replay of minutes does not begin if nothing could come of it.
#[test]
fn a_replay_tries_the_folder_of_its_report_first() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("report");
    let mut replay = Command::new(program());
    let (code, text) = said(&replay.args(["replay", "--quick", "--out"]).arg(below).output().unwrap());
    assert!(code == Some(3), "{code:?} {text}");
    assert!(text.contains("the report cannot be written to") && text.contains("--out"), "{text}");
}
