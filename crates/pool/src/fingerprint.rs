//! Whether what a connector says to dial with has changed since an attempt that failed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::shared::Shared;

/// Options, told apart from others by every part of them, passwords too. None of it can be read from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(options: &PgConnectOptions) -> Self {
        let mut hasher = DefaultHasher::new();
        // The only view of them with all their parts; a test says so of each.
        format!("{options:?}").hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Between two questions to the connector, and how long an answer may take.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// While the pause lasts that followed on a dial with these options, asks for others, and ends the pause when there are.
pub(crate) async fn watch(pool: Weak<Shared>, dialed: Fingerprint) {
    let paused_until = |pool: &Weak<Shared>| pool.upgrade()?.lock().ledger.paused_until();
    let Some(pause) = paused_until(&pool) else { return };
    while pause > now() + ASK_EVERY {
        sleep(ASK_EVERY).await;
        if paused_until(&pool) != Some(pause) {
            return;
        }
        let Some(shared) = pool.upgrade() else { return };
        if has_changed(&shared, dialed).await {
            let now = now();
            return shared.with(now, |state| state.ledger.end_pause(now));
        }
    }
}

/// A connector that fails or is slow has said nothing.
async fn has_changed(shared: &Arc<Shared>, dialed: Fingerprint) -> bool {
    let asked = timeout(ASK_EVERY, shared.dialer.options()).await;
    asked.is_ok_and(|answer| answer.is_ok_and(|options| Fingerprint::of(&options) != dialed))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sqlx::postgres::PgSslMode;

    use super::*;

    #[test]
    fn each_part_of_the_options_makes_another_fingerprint() {
        let plain = || PgConnectOptions::new_without_pgpass().host("one").port(1).username("one").password("one");
        let others = [
            plain(),
            plain().host("two"),
            plain().port(2),
            plain().username("two"),
            plain().password("two"),
            plain().database("two"),
            plain().socket("/two"),
            plain().application_name("two"),
            plain().options([("work_mem", "2MB")]),
            plain().ssl_mode(PgSslMode::VerifyFull),
            plain().ssl_root_cert("two"),
            plain().ssl_root_cert_from_pem(b"two".to_vec()),
            plain().ssl_client_cert("two"),
            plain().ssl_client_cert_from_pem("two"),
            plain().ssl_client_key("two"),
            plain().ssl_client_key_from_pem("two"),
        ];
        let prints: HashSet<u64> = others.iter().map(|options| Fingerprint::of(options).0).collect();
        assert_eq!(prints.len(), others.len());
        assert_eq!(Fingerprint::of(&plain()), Fingerprint::of(&plain()));
    }
}
