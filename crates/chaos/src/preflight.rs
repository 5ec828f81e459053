//! What the machine must offer before a replay makes sense. A fault here is exit code 3, with the way out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets that the incident needs at once in one process, with room to spare.
const INCIDENT_FILES: u64 = 8_192;
/// The same for what a scenario may ask beyond that: 1,500 requests a second that wait six seconds each.
const OVERLOAD_FILES: u64 = 16_384;
/// Above this a scenario asks for more than the incident does.
const MANY_PER_SECOND: f64 = 500.0;

/// Why the replay cannot start here.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Too few open files allowed.
    #[error(
        "at most {limit} open files are allowed here and {needed} are needed; raise the hard limit (ulimit -Hn {needed}) and start again"
    )]
    OpenFiles {
        /// The hard limit.
        limit: u64,
        /// What is needed.
        needed: u64,
    },
    /// Too few ports for outgoing connections.
    #[error("only {count} local ports are free for connections and {needed} are needed (net.ipv4.ip_local_port_range)")]
    Ports {
        /// The size of the range.
        count: u64,
        /// What is needed.
        needed: u64,
    },
    /// Postgres is missing.
    #[error(transparent)]
    Postgres(#[from] forebay_embedded::StartError),
}

/// Raises the limit of open files as far as it goes and checks what cannot be raised, for a play that sends so many requests a second
/// at most. Children inherit it.
///
/// # Errors
/// See [`PreflightError`].
pub fn check(requests_per_second: f64) -> Result<(), PreflightError> {
    let needed = if requests_per_second > MANY_PER_SECOND { OVERLOAD_FILES } else { INCIDENT_FILES };
    raise_open_files(needed)?;
    check_ports(needed)?;
    forebay_embedded::find_programs()?;
    Ok(())
}

/// Raises the limit of open files as far as it goes.
///
/// # Errors
/// [`PreflightError::OpenFiles`], where it stays below `needed`.
pub fn raise_open_files(needed: u64) -> Result<(), PreflightError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // The kernel refuses an endless soft limit for files, so that one is left at what is needed.
    let wanted = maximum.map_or(needed, |maximum| maximum.max(current.unwrap_or(0)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    if wanted < needed || raised.is_err() {
        return Err(PreflightError::OpenFiles { limit: maximum.unwrap_or(wanted), needed });
    }
    Ok(())
}

fn check_ports(needed: u64) -> Result<(), PreflightError> {
    let Ok(range) = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else {
        return Ok(());
    };
    let ports: Vec<u64> = range.split_whitespace().filter_map(|port| port.parse().ok()).collect();
    match ports[..] {
        [first, last] if last.saturating_sub(first) < needed => {
            Err(PreflightError::Ports { count: last.saturating_sub(first), needed })
        }
        _ => Ok(()),
    }
}
