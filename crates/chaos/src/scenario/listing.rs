//! The scenarios as a list, and what is wrong with them.

use std::path::PathBuf;

use super::filed::{Filed, ScenarioError};
use super::shipped;

/// What is said of some scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Line by line.
    pub lines: Vec<String>,
    /// Whether nothing is wrong with any of them.
    pub is_sound: bool,
}

/// Lists these files, or what comes along where there are none; `check` says of each whether it can be played.
#[must_use]
pub fn of(files: &[PathBuf], check: bool) -> Listing {
    let found: Vec<Result<Filed, ScenarioError>> = match files {
        [] => shipped::all().into_iter().map(Ok).collect(),
        files => files.iter().map(|file| Filed::read(file)).collect(),
    };
    let width = found.iter().flatten().map(|filed| filed.name.chars().count()).max().unwrap_or(0);
    let line = |found: &Result<Filed, ScenarioError>| match found {
        Ok(filed) => {
            let arms: Vec<&str> = filed.arms.iter().map(|arm| arm.key()).collect();
            let means = if filed.only_virtual().is_some() { "in virtual time alone" } else { "for real" };
            let sound = if check { format!("sound, {} marks, ", filed.marks.len()) } else { String::new() };
            format!("{:width$}  {} ({sound}{means}, on {})", filed.name, filed.about, arms.join(", "))
        }
        Err(error) => error.to_string(),
    };
    Listing { lines: found.iter().map(line).collect(), is_sound: found.iter().all(Result::is_ok) }
}
