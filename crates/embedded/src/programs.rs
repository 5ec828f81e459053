//! Finds `initdb` and `postgres`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::StartError;

/// Major versions this crate is written for; a newer one is taken only where none of these exists.
const KNOWN: std::ops::RangeInclusive<u32> = 14..=18;

/// The two programs of one installed Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Makes a data folder.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
    /// The major version, such as 15.
    pub major: u32,
}

/// The newest installed Postgres of version 14 to 18, from the distribution's folders first and `PATH` last (what lies
/// on `PATH` is often a wrapper that chooses a cluster or an account by itself).
///
/// # Errors
///
/// [`StartError::NoPrograms`] names the folders that were looked into and the package to install.
pub fn find_programs() -> Result<Programs, StartError> {
    let looked = folders();
    installed(&looked).into_iter().next().ok_or(StartError::NoPrograms { looked })
}

/// The programs for a folder made by `folder_version`, or the newest for a new folder.
pub(crate) fn programs_for(folder: &Path, folder_version: Option<&str>) -> Result<Programs, StartError> {
    let Some(folder_version) = folder_version else {
        return find_programs();
    };
    let looked = folders();
    let all = installed(&looked);
    if all.is_empty() {
        return Err(StartError::NoPrograms { looked });
    }
    let found = all.iter().map(|programs| programs.major.to_string()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|programs| programs.major.to_string() == folder_version).ok_or_else(|| StartError::Version {
        folder: folder.to_owned(),
        folder_version: folder_version.to_owned(),
        found,
    })
}

/// All that is installed, best first.
fn installed(folders: &[PathBuf]) -> Vec<Programs> {
    let mut found: Vec<Programs> = Vec::new();
    for folder in folders {
        if let Some(programs) = programs_in(folder)
            && !found.iter().any(|known| known.major == programs.major)
        {
            found.push(programs);
        }
    }
    found.sort_by_key(|programs| (!KNOWN.contains(&programs.major), std::cmp::Reverse(programs.major)));
    found
}

fn programs_in(folder: &Path) -> Option<Programs> {
    let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
    if !initdb.is_file() || !postgres.is_file() {
        return None;
    }
    let said = Command::new(&postgres).arg("--version").output().ok()?;
    let major = major_of(&String::from_utf8_lossy(&said.stdout))?;
    (major >= *KNOWN.start()).then_some(Programs { initdb, postgres, major })
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, `postgres (PostgreSQL) 18beta1` is 18.
fn major_of(version_line: &str) -> Option<u32> {
    let version = version_line.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Where distributions put the programs, then `PATH`.
fn folders() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Library/PostgreSQL", "", "bin"),
    ] {
        all.extend(children(Path::new(parent), prefix).map(|child| child.join(rest)));
    }
    all.extend(["/usr/local/pgsql/bin", "/usr/lib/postgresql/bin"].map(PathBuf::from));
    all.extend(on_path());
    let mut seen = std::collections::HashSet::new();
    all.retain(|folder| folder.is_dir() && seen.insert(folder.clone()));
    all
}

#[expect(clippy::disallowed_methods, reason = "PATH is no setting of ours; it says where programs are")]
fn on_path() -> Vec<PathBuf> {
    env::var_os("PATH").iter().flat_map(env::split_paths).collect()
}

fn children(parent: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_program_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("no such thing"), None);
    }
}
