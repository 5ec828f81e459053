//! What the two listeners put up with from their clients.

use std::time::Duration;

use forebay_platform::{config::Reader, serve::Limits};
use rustix::process::{Resource, getrlimit};

/// Open files beside connections: the runtime's, logs, the data folder's, calls to other services, a resize of the pool.
const OTHER_FILES: u64 = 64;

/// Connections of the admin listener: with the page open a hundred times, 16 are left for probes, scrapes and orders.
const ADMIN: usize = 128;
/// The same where the limit of open files would have to take them from the public listener.
const ADMIN_WITHIN_FEW_FILES: usize = 16;

/// `FOREBAY_HTTP_*` and `FOREBAY_ADMIN_CONNECTIONS`, for a process that opens `database` connections to its server. Who does not
/// serve needs no room for clients.
pub(super) fn read(settings: &mut Reader<'_>, serves: bool, database: u32) -> (Limits, Limits) {
    const CONNECTIONS: &str = "FOREBAY_HTTP_CONNECTIONS";
    let defaults = Limits::default();
    let head_bytes = settings.or("FOREBAY_HTTP_HEAD_BYTES", defaults.head_bytes);
    let in_range = (Limits::SMALLEST_HEAD..=1024 * 1024).contains(&head_bytes);
    settings.require(in_range, "FOREBAY_HTTP_HEAD_BYTES", "must lie between 8192 and 1048576", defaults.head_bytes);
    let files = getrlimit(Resource::Nofile).current;
    let ample = room(database.into(), ADMIN, files) >= defaults.connections;
    let admin = settings.or("FOREBAY_ADMIN_CONNECTIONS", if ample { ADMIN } else { ADMIN_WITHIN_FEW_FILES });
    settings.require(admin > 0, "FOREBAY_ADMIN_CONNECTIONS", "no probe could be answered", ADMIN);
    let room = room(database.into(), admin, files);
    let connections = settings.or(CONNECTIONS, room.min(defaults.connections).max(1));
    settings.require(connections > 0, CONNECTIONS, "nobody could connect", defaults.connections);
    let no_room = format!(
        "the limit of open files leaves room for {room}, beside {database} to the database, {admin} of \
         FOREBAY_ADMIN_CONNECTIONS and {OTHER_FILES} others: raise it (ulimit -n), or lower one of these"
    );
    settings.require(connections <= room || !serves, CONNECTIONS, &no_room, room.clamp(1, defaults.connections));
    let public = Limits {
        head: time(settings, "FOREBAY_HTTP_HEAD_MS", defaults.head),
        body: time(settings, "FOREBAY_HTTP_BODY_MS", defaults.body),
        answer: time(settings, "FOREBAY_HTTP_ANSWER_MS", defaults.answer),
        idle: time(settings, "FOREBAY_HTTP_IDLE_MS", defaults.idle),
        head_bytes,
        connections,
    };
    (public, Limits { connections: admin, ..public })
}

fn time(settings: &mut Reader<'_>, name: &'static str, default: Duration) -> Duration {
    let time = settings.millis(name, default);
    settings.require(!time.is_zero(), name, "nobody is that fast", default.as_millis());
    time
}

/// How many connections of clients there is room for below a limit of open files.
fn room(database: u64, admin: usize, files: Option<u64>) -> usize {
    let taken = database.saturating_add(OTHER_FILES).saturating_add(admin as u64);
    files.map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(taken)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use forebay_platform::config::Env;

    use super::*;

    #[test]
    fn connections_leave_room_for_the_database_and_the_probes() {
        assert_eq!(room(62, 16, Some(1024)), 882);
        assert_eq!(room(62, 16, Some(100)), 0);
        assert_eq!(room(62, 16, None), usize::MAX);
    }

    #[test]
    fn both_listeners_have_the_same_times_and_a_bound_of_their_own() {
        let settings =
            [("FOREBAY_HTTP_IDLE_MS", "700"), ("FOREBAY_HTTP_CONNECTIONS", "20"), ("FOREBAY_ADMIN_CONNECTIONS", "7")];
        let env = Env::of(settings);
        let mut settings = env.reader();
        let (public, admin) = read(&mut settings, true, 4);
        settings.finish().unwrap();
        assert_eq!((public.connections, admin.connections), (20, 7));
        assert_eq!((public.idle, admin.idle), (Duration::from_millis(700), Duration::from_millis(700)));
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        for (name, value, said) in [
            ("FOREBAY_HTTP_CONNECTIONS", "0", "nobody could connect"),
            ("FOREBAY_HTTP_CONNECTIONS", "1000000000", "leaves room for"),
            ("FOREBAY_ADMIN_CONNECTIONS", "0", "no probe"),
            ("FOREBAY_HTTP_HEAD_BYTES", "100", "between 8192"),
            ("FOREBAY_HTTP_HEAD_MS", "0", "nobody is that fast"),
        ] {
            let env = Env::of([(name, value)]);
            let mut settings = env.reader();
            read(&mut settings, true, 4);
            let fault = settings.finish().unwrap_err().to_string();
            assert!(fault.contains(said), "{name}: {fault}");
        }
        let env = Env::of([("FOREBAY_HTTP_CONNECTIONS", "1000000000")]);
        let mut settings = env.reader();
        read(&mut settings, false, 4);
        settings.finish().unwrap();
    }
}
