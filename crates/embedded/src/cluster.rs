//! Makes a data folder with `initdb`, whole or not at all.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Programs, StartError,
    account::{Account, drop_to, give},
    folder::{Folder, make},
};

/// Who owns the databases.
pub(crate) const SUPERUSER: &str = "forebay";

/// Runs `initdb` in a folder beside the real one and renames it when it is complete, so that a run killed half-way
/// leaves nothing that looks like data.
pub(crate) async fn create(
    folder: &Folder,
    programs: &Programs,
    account: Option<&Account>,
    durable: bool,
) -> Result<(), StartError> {
    let workshop = folder.data.with_file_name(format!("{}{}", half_done_prefix(folder), std::process::id()));
    // Stays ours, so that the account cannot put a link where we write; it gets what lies in it.
    make(&workshop, 0o711, None)?;
    let made = workshop.join("data");
    let password = workshop.join("password");
    write_password(&password, account)?;
    make(&made, 0o700, account)?;
    let mut said = initdb(programs, account, &made, &password, "C.UTF-8", durable).await?;
    if !said.status.success() && mentions_locale(&said) {
        clear(&made)?;
        make(&made, 0o700, account)?;
        said = initdb(programs, account, &made, &password, "C", durable).await?;
    }
    if !said.status.success() {
        let output = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        clear(&workshop)?;
        return Err(StartError::Init { folder: folder.data.clone(), output });
    }
    fs::rename(&password, made.join("forebay-password")).map_err(StartError::io("rename", &password))?;
    fs::rename(&made, &folder.data).map_err(StartError::io("rename", &made))?;
    clear(&workshop)
}

/// Removes what a killed `initdb` left beside the folder.
pub(crate) fn remove_half_done(folder: &Folder) -> Result<(), StartError> {
    let Some(parent) = folder.data.parent() else {
        return Ok(());
    };
    let prefix = half_done_prefix(folder);
    for entry in fs::read_dir(parent).map_err(StartError::io("read", parent))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            clear(&entry.path())?;
        }
    }
    Ok(())
}

fn half_done_prefix(folder: &Folder) -> String {
    let name = folder.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{name}.init-")
}

fn clear(path: &Path) -> Result<(), StartError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StartError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// 24 random bytes in hexadecimal.
pub(crate) fn random_password() -> String {
    format!("{:032x}{:016x}", rand::random::<u128>(), rand::random::<u64>())
}

fn write_password(path: &Path, account: Option<&Account>) -> Result<(), StartError> {
    let password = random_password();
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(StartError::io("create", path))?;
    writeln!(file, "{password}").map_err(StartError::io("write", path))?;
    give(&file, path, account)
}

async fn initdb(
    programs: &Programs,
    account: Option<&Account>,
    made: &Path,
    password: &Path,
    locale: &str,
    durable: bool,
) -> Result<std::process::Output, StartError> {
    let mut command = Command::new(&programs.initdb);
    command
        .arg("--pgdata")
        .arg(made)
        .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", locale])
        .args(["--auth-local", "trust", "--auth-host", "scram-sha-256"])
        .arg("--pwfile")
        .arg(password)
        .stdin(Stdio::null());
    if !durable {
        command.arg("--no-sync");
    }
    plain_environment(&mut command);
    drop_to(&mut command, account);
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(StartError::io("run", &programs.initdb))
}

fn mentions_locale(said: &std::process::Output) -> bool {
    String::from_utf8_lossy(&said.stderr).contains("locale")
}

/// Messages in English, and nothing of the caller's own Postgres settings.
pub(crate) fn plain_environment(command: &mut Command) {
    command.env("LC_ALL", "C");
    for name in [
        "PGDATA",
        "PGPORT",
        "PGHOST",
        "PGUSER",
        "PGDATABASE",
        "PGPASSWORD",
        "PGOPTIONS",
        "PGSERVICE",
        "PGDATESTYLE",
        "PGTZ",
        "PGCLIENTENCODING",
    ] {
        command.env_remove(name);
    }
}
