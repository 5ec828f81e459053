//! Finds `initdb` and `postgres`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{StartError, account::Account, folder::closed_ancestor};

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

/// The variable that names the folder of the programs, in the place of those that would be found.
const NAMED: &str = "FOREBAY_PG_BIN";

/// The programs in the folder that `FOREBAY_PG_BIN` names, else the newest installed Postgres of version 14 to 18, from
/// the distribution's folders first and `PATH` last (what lies on `PATH` is often a wrapper that chooses a cluster or an
/// account by itself).
///
/// # Errors
///
/// [`StartError::NoPrograms`] names the folders that were looked into and the package to install; [`StartError::Lacks`]
/// and [`StartError::Unfit`] say what is wrong with the folder that was named.
pub fn find_programs() -> Result<Programs, StartError> {
    candidates().map(|mut all| all.swap_remove(0))
}

/// The programs for a folder made by `folder_version`, or the best for a new folder.
pub(crate) fn programs_for(folder: &Path, folder_version: Option<&str>) -> Result<Programs, StartError> {
    let Some(folder_version) = folder_version else {
        return find_programs();
    };
    let all = candidates()?;
    let found = all.iter().map(|programs| programs.major.to_string()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|programs| programs.major.to_string() == folder_version).ok_or_else(|| StartError::Version {
        folder: folder.to_owned(),
        folder_version: folder_version.to_owned(),
        found,
    })
}

/// What there is to choose from, best first; one at least.
fn candidates() -> Result<Vec<Programs>, StartError> {
    if let Some(folder) = variable(NAMED).filter(|folder| !folder.is_empty()) {
        return Ok(vec![Programs::named(Path::new(&folder))?]);
    }
    let looked = folders();
    let all = installed(&looked);
    if all.is_empty() { Err(StartError::NoPrograms { looked }) } else { Ok(all) }
}

impl Programs {
    /// Those in a folder that somebody named.
    fn named(folder: &Path) -> Result<Self, StartError> {
        for program in ["initdb", "postgres"] {
            if !folder.join(program).is_file() {
                return Err(StartError::Lacks { folder: folder.to_owned(), program });
            }
        }
        programs_in(folder).ok_or_else(|| StartError::Unfit { folder: folder.to_owned() })
    }

    /// Refuses programs that the account that runs the server could not run.
    pub(crate) fn check_runnable(&self, account: Option<&Account>) -> Result<(), StartError> {
        let Some(account) = account else {
            return Ok(());
        };
        let closed = [&self.initdb, &self.postgres].into_iter().find_map(|program| {
            let program = program.canonicalize().unwrap_or_else(|_| program.clone());
            closed_ancestor(&program, account).or_else(|| (!account.may_pass(&program)).then_some(program))
        });
        match closed {
            Some(closed) => Err(StartError::Closed { closed, account: account.name.clone() }),
            None => Ok(()),
        }
    }
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

fn on_path() -> Vec<PathBuf> {
    variable("PATH").iter().flat_map(env::split_paths).collect()
}

/// Whoever embeds a server (the shop, the replay, a test) finds its programs alike.
#[expect(clippy::disallowed_methods, reason = "these two say where programs are, and nothing else is read here")]
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name)
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program that says its version.
    fn program(folder: &Path, name: &str, says: &str) {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_named_folder_is_told_which_program_it_lacks_and_which_is_unfit() {
        let folder = tempfile::tempdir().unwrap();
        let error = || Programs::named(folder.path()).unwrap_err().to_string();
        let at = folder.path().display().to_string();
        assert!(error().contains(&at) && error().contains("`initdb`") && error().contains(NAMED), "{}", error());
        program(folder.path(), "initdb", "initdb");
        assert!(error().contains("`postgres`") && !error().contains("`initdb`"), "{}", error());
        program(folder.path(), "postgres", "postgres (PostgreSQL) 13.22");
        assert!(error().contains("14 or newer") && error().contains("postgres --version"), "{}", error());
        program(folder.path(), "postgres", "postgres (PostgreSQL) 17.11");
        assert_eq!(Programs::named(folder.path()).unwrap().major, 17);
    }

    #[test]
    fn programs_that_the_account_cannot_run_are_told_with_what_is_closed() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        program(&bin, "initdb", "initdb");
        program(&bin, "postgres", "postgres (PostgreSQL) 17.11");
        let programs = Programs::named(&bin).unwrap();
        let account = Account { name: "nobody".into(), uid: 65_534, gid: 65_534 };
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let closed = |path: &Path| {
            let error = programs.check_runnable(Some(&account)).unwrap_err().to_string();
            let named = path.canonicalize().unwrap();
            assert!(error.contains(&named.display().to_string()) && error.contains("`nobody`"), "{error}");
        };
        set(home.path(), 0o700);
        closed(home.path());
        set(home.path(), 0o755);
        set(&bin.join("postgres"), 0o700);
        closed(&bin.join("postgres"));
        set(&bin.join("postgres"), 0o755);
        programs.check_runnable(Some(&account)).unwrap();
        set(home.path(), 0o700);
        programs.check_runnable(None).unwrap();
    }

    #[test]
    fn the_major_version_is_read_from_what_the_program_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("no such thing"), None);
    }
}
