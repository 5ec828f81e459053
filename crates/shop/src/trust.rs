//! Whose certificates are taken.
//!
//! libpq takes those of the authorities in `sslrootcert` and no others. sqlx takes the system's as well, so that with
//! `verify-ca` everybody who has any certificate of a public authority would pass. The driver looks for the system's where
//! `SSL_CERT_FILE` says, at each connection, and a process cannot safely change its own environment while it runs.

use std::{env, os::unix::process::CommandExt as _, process::Command};

use crate::{Config, Failure, config::NOBODY};

/// Starts this program again, in the same process, with no authorities but those that the settings name, if there are others.
/// Comes back when there are none. Only for a program that is the shop: whatever it had begun is gone.
///
/// # Errors
///
/// It cannot be started.
pub fn narrow(config: &Config) -> Result<(), Failure> {
    if !config.trusts_too_many {
        return Ok(());
    }
    let program = env::current_exe().map_err(Failure::Again)?;
    let mut arguments = env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(Failure::Again(command.args(arguments).env("SSL_CERT_FILE", NOBODY).env_remove("SSL_CERT_DIR").exec()))
}
