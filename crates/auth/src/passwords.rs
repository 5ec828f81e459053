//! Hashes and compares passwords: argon2id with the parameters of the OWASP minimum (19 MiB, two passes, one lane).

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};

use crate::lane::{Full, Lane};

/// Memory in KiB, passes, lanes: <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>.
const COST: (u32, u32, u32) = (19_456, 2, 1);

pub(crate) struct Passwords {
    lane: Lane,
    /// The hash that an unknown user's password is compared with, so that the answer takes as long as for a known one.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { lane: Lane::new(cores), nobody: hash(&rand::random::<[u8; 16]>()) }
    }

    /// The hash to keep, as a PHC string with a salt of its own.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Full> {
        self.lane.run(move || hash(password.expose_secret().as_bytes())).await
    }

    /// Whether `password` is the one behind `kept`. Without one it is false, after the same work.
    pub(crate) async fn matches(&self, password: SecretString, kept: Option<String>) -> Result<bool, Full> {
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        let same = self.lane.run(move || verify(password.expose_secret().as_bytes(), &kept)).await?;
        Ok(same && known)
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("the OWASP minimum is within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> String {
    let salt = rand::random::<[u8; 16]>();
    let hash = argon2().hash_password_with_salt(password, &salt);
    hash.expect("a salt of 16 bytes and a password of at most 512 suit argon2").to_string()
}

/// A hash that does not parse matches nothing.
fn verify(password: &[u8], kept: &str) -> bool {
    argon2().verify_password(password, kept).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_names_the_owasp_minimum_and_matches_only_its_password() {
        let kept = hash(b"correct-horse-battery");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify(b"correct-horse-battery", &kept));
        assert!(!verify(b"correct-horse-batterz", &kept));
        assert!(!verify(b"anything", "no hash at all"));
    }
}
