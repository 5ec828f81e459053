//! What Postgres keeps of a password ([RFC 5802](https://www.rfc-editor.org/rfc/rfc5802), with SHA-256): made here, so that the
//! password itself never stands in a statement, nor in a log of statements.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// As Postgres' own.
const ITERATIONS: u32 = 4096;

/// In the form in which `ALTER ROLE ... PASSWORD` takes it.
pub(super) struct Verifier(String);

/// Why a text is no password here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody is let in by it.
    #[error("is empty")]
    Empty,
    /// Others would have to be brought into a common form before (SASLprep), on both sides alike.
    #[error("has other characters than letters, digits and signs of ASCII")]
    NotAscii,
}

impl Verifier {
    pub(super) fn of(password: &str) -> Result<Self, Unfit> {
        if password.is_empty() {
            return Err(Unfit::Empty);
        }
        if !password.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(Unfit::NotAscii);
        }
        Ok(Self::salted(password, rand::random::<[u8; 16]>()))
    }

    fn salted(password: &str, salt: [u8; 16]) -> Self {
        let mut block = keyed(password.as_bytes(), &[&salt, &1_u32.to_be_bytes()]);
        let mut salted = block;
        for _ in 1..ITERATIONS {
            block = keyed(password.as_bytes(), &[&block]);
            salted.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
        }
        let stored = STANDARD.encode(Sha256::digest(keyed(&salted, &[b"Client Key"])));
        let server = STANDARD.encode(keyed(&salted, &[b"Server Key"]));
        let salt = STANDARD.encode(salt);
        Self(format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}"))
    }
}

/// Letters, digits and the signs `$:+/=-` alone: it needs no quoting.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: the password `pencil`, whose exchange shows the proofs that these keys make.
    #[test]
    fn a_verifier_is_that_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::salted("pencil", salt.try_into().unwrap()).to_string();
        let (head, keys) = verifier.rsplit_once('$').unwrap();
        assert_eq!(head, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==");
        let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = STANDARD.decode(keys.split_once(':').unwrap().1).unwrap();
        assert_eq!(STANDARD.encode(keyed(&server, &[said.as_bytes()])), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_no_server_would_take_alike_is_no_password() {
        assert_eq!(Verifier::of("").err(), Some(Unfit::Empty));
        assert_eq!(Verifier::of("pässword").err(), Some(Unfit::NotAscii));
        assert!(Verifier::of("a b'c$").is_ok());
    }
}
