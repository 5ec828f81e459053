//! The key that signs access tokens: read from a file, or made on the first start.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use forebay_auth::SigningKey;

/// The DER of a PKCS #8 private key (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the signing key {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is no Ed25519 private key in PKCS #8 PEM form; make one with `openssl genpkey -algorithm ed25519 -out {}`", .0.display(), .0.display())]
    Form(PathBuf),
}

/// The key in `path`.
///
/// # Errors
///
/// The file is missing, closed to us, or no such key.
pub fn read(path: &Path) -> Result<SigningKey, KeyError> {
    let pem = fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    decode(&pem).map(SigningKey::from_seed).ok_or_else(|| KeyError::Form(path.to_owned()))
}

/// The key in `path`, which is made where it is missing, readable by its owner alone.
///
/// # Errors
///
/// As [`read`], and if the file cannot be written.
pub fn read_or_make(path: &Path) -> Result<SigningKey, KeyError> {
    if !path.exists() {
        let mut seed = [0; 32];
        rand::fill(&mut seed);
        write(path, &encode(seed)).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    }
    read(path)
}

/// Whole or not at all: a start that is killed leaves no half a key. The draft is a new file: one that lies there, or a
/// link in its place, is removed and not written to.
fn write(path: &Path, pem: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

fn encode(seed: [u8; 32]) -> String {
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([&HEAD[..], &seed].concat()))
}

fn decode(pem: &str) -> Option<[u8; 32]> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let packed: String = body.split_whitespace().collect();
    STANDARD.decode(packed).ok()?.strip_prefix(&HEAD)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let made = format!("{:?}", read_or_make(&path).unwrap());
        assert_eq!(format!("{:?}", read_or_make(&path).unwrap()), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_draft_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, path.with_extension("draft")).unwrap();
        read_or_make(&path).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn the_form_is_that_of_openssl() {
        // The private key of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let seed = decode(pem).unwrap();
        assert_eq!(seed[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(encode(seed), pem);
        assert_eq!(decode("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"), None);
    }
}
