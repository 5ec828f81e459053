//! Where the shop keeps its data when nobody says.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The folder, and why it is not the usual one, if it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Absolute; exists.
    pub folder: PathBuf,
    /// For the person who looks for `./.forebay`.
    pub note: Option<String>,
}

/// Chooses: the folder that was asked for, else `.forebay` in the working folder, or in `/var/lib` where we are root and
/// the account that runs Postgres may not pass through to the working folder.
///
/// # Errors
///
/// The working folder is gone, or the folder cannot be made.
pub fn choose(asked: Option<&Path>, embedded: bool) -> io::Result<Place> {
    let usual = std::path::absolute(asked.unwrap_or(Path::new(".forebay")))?;
    let closed = forebay_embedded::closed_above(&usual.join("pg")).filter(|_| embedded && asked.is_none());
    let (folder, note) = match closed {
        None => (usual, None),
        Some(closed) => {
            let other = away_from(&usual);
            let note = format!(
                "{} is closed to the account that runs Postgres for root: the data is in {}",
                closed.display(),
                other.display()
            );
            (other, Some(note))
        }
    };
    if embedded {
        forebay_embedded::make_passable(&folder)?;
    } else {
        std::fs::create_dir_all(&folder)?;
    }
    Ok(Place { folder, note })
}

/// The file that lies where the folder, or one above it, is to be.
pub(crate) fn file_in_the_way(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|above| above.is_file())
}

/// One folder in `/var/lib/forebay` for each working folder, named after its path.
fn away_from(usual: &Path) -> PathBuf {
    let working = usual.parent().unwrap_or(usual).to_string_lossy();
    let name = working.trim_matches('/').replace('-', "--").replace('/', "-");
    Path::new("/var/lib/forebay").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_differ_have_data_that_differs() {
        let name = |working: &str| away_from(&Path::new(working).join(".forebay"));
        assert_eq!(name("/root/my/shop"), Path::new("/var/lib/forebay/root-my-shop"));
        assert_ne!(name("/root/my-shop"), name("/root/my/shop"));
    }
}
