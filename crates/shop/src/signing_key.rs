//! The key that signs access tokens: read from a file, or made on the first start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use forebay_auth::SigningKey;

/// The DER of a PKCS #8 private key (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// What the file in the data folder is called.
pub(crate) const USUAL: &str = "signing-key.pem";

/// More than any key needs, in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the signing key {}: {source}{}", path.display(), how_to_make(path, source))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key was made, and could not be given its name.
    #[error("cannot name the new signing key {}: {source}; if its folder is on a file system without hard links, make the key with `openssl genpkey -algorithm ed25519 -out {}`", path.display(), path.display())]
    Name {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is no Ed25519 private key in PKCS #8 PEM form; make one with `openssl genpkey -algorithm ed25519 -out {}`", .0.display(), .0.display())]
    Form(PathBuf),
    /// The same, for a file that a setting names.
    #[error("{setting}: {source}")]
    Named {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        source: Box<Self>,
    },
}

impl KeyError {
    /// For `map_err`: says which setting names the file.
    pub(crate) fn named_by(setting: &'static str) -> impl FnOnce(Self) -> Self {
        move |source| Self::Named { setting, source: Box::new(source) }
    }
}

/// What to do about a file that is not there.
fn how_to_make(path: &Path, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            format!(". Make it with `openssl genpkey -algorithm ed25519 -out {}`", path.display())
        }
        _ => String::new(),
    }
}

/// The key in `path`. If the file is open to others than its owner, that is said in the log.
///
/// # Errors
///
/// The file is missing, closed to us, or no such key.
pub fn read(path: &Path) -> Result<SigningKey, KeyError> {
    let pem = pem(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    let seed = std::str::from_utf8(&pem).ok().and_then(decode);
    seed.map(SigningKey::from_seed).ok_or_else(|| KeyError::Form(path.to_owned()))
}

/// The key in `path`, which is made where it is missing, readable by its owner alone. Those who start at the same time
/// on one folder all get the same key.
///
/// # Errors
///
/// As [`read`], and if the file cannot be written.
pub fn read_or_make(path: &Path) -> Result<SigningKey, KeyError> {
    if !path.exists() {
        make(path)?;
    }
    read(path)
}

/// `key`, which signs, and beside it the key in `path`, whose tokens are accepted: that of before a rotation, or the one
/// to come.
///
/// # Errors
///
/// As [`read`].
pub fn with_previous(key: SigningKey, path: &Path) -> Result<SigningKey, KeyError> {
    Ok(key.also_accepting(read(path)?))
}

fn pem(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if is_open_to_others(mode) {
        let mode = format_args!("{mode:04o}");
        tracing::warn!(path = %path.display(), %mode, "a signing key is open to others, who could make tokens with it: chmod 600");
    }
    let mut pem = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut pem)?;
    Ok(pem)
}

fn is_open_to_others(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// A new key in `path`, whole or not at all. Whoever was faster has made the key that counts.
fn make(path: &Path) -> Result<(), KeyError> {
    let mut seed = [0; 32];
    rand::fill(&mut seed);
    let draft = Draft::write(path, &encode(seed)).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    match fs::hard_link(&draft.0, path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(KeyError::Name { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A file of our own beside the key's place, which goes when this is dropped. What a killed start left has another name.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, pem: &str) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:032x}.draft", rand::random::<u128>()));
        let draft = path.with_file_name(name);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
        let draft = Self(draft);
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the draft of a signing key is left; it can be removed");
        }
    }
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
    use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, sync::Barrier, thread};

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
    fn starts_at_the_same_time_end_with_the_same_key() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("signing-key.pem");
            let begin = Barrier::new(8);
            let made: BTreeSet<_> = thread::scope(|scope| {
                let start = || {
                    begin.wait();
                    format!("{:?}", read_or_make(&path).unwrap())
                };
                let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
                starts.into_iter().map(|start| start.join().unwrap()).collect()
            });
            assert_eq!(made.len(), 1, "{made:?}");
            let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["signing-key.pem"]);
        }
    }

    #[test]
    fn what_a_killed_start_left_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, path.with_extension("draft")).unwrap();
        let half = folder.path().join(format!("signing-key.pem.{:032x}.draft", 1));
        fs::write(&half, &encode([1; 32])[..40]).unwrap();
        read_or_make(&path).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(half.exists(), "it may be the draft of a start that goes on");
    }

    #[test]
    fn a_place_that_leads_nowhere_is_said_and_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(read_or_make(&path), Err(KeyError::File { .. })));
        assert!(!folder.path().join("elsewhere").exists());
        let missing = folder.path().join("missing").join("signing-key.pem");
        assert!(matches!(read_or_make(&missing), Err(KeyError::File { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        read_or_make(&path).unwrap();
        for mode in [0o644, 0o640, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path).unwrap();
        }
        assert!([0o644, 0o640, 0o604, 0o620].into_iter().all(is_open_to_others));
        assert!(![0o600, 0o400, 0o700].into_iter().any(is_open_to_others));
    }

    #[test]
    fn the_previous_key_is_accepted_beside_the_one_that_signs() {
        let folder = tempfile::tempdir().unwrap();
        let [path, previous] = ["new.pem", "old.pem"].map(|name| folder.path().join(name));
        let (key, old) = (read_or_make(&path).unwrap(), read_or_make(&previous).unwrap());
        let both = with_previous(key.clone(), &previous).unwrap();
        assert_eq!(format!("{both:?}"), format!("{:?}", key.clone().also_accepting(old)));
        assert_eq!(format!("{:?}", with_previous(key.clone(), &path).unwrap()), format!("{key:?}"));
        assert!(matches!(with_previous(key, &folder.path().join("none")), Err(KeyError::File { .. })));
    }

    #[test]
    fn what_is_no_key_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let huge = vec![b'x'; 1024 * 1024];
        for content in [&b""[..], b"\xff\xfe", &encode([1; 32]).as_bytes()[..40], &huge] {
            fs::write(&path, content).unwrap();
            let said = read_or_make(&path).unwrap_err().to_string();
            assert!(said.contains("openssl genpkey"), "{said}");
        }
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
