//! Which account the server runs as: Postgres refuses to run as root.

use std::{
    fs::{self, File},
    io,
    os::unix::{
        fs::{MetadataExt, fchown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::StartError;

/// An account of the machine that the server runs as because we are root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

impl Account {
    /// The account for `folder`: none when we are an ordinary user; else the owner of an existing folder, `postgres`,
    /// or `nobody`.
    pub(crate) fn choose(folder: &Path) -> Result<Option<Self>, StartError> {
        let me = rustix::process::geteuid();
        let owner = fs::metadata(folder).ok();
        if !me.is_root() {
            return match owner.map(|found| found.uid()) {
                Some(owner) if owner != me.as_raw() => Err(StartError::Owner { folder: folder.to_owned(), owner }),
                _ => Ok(None),
            };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(found) = owner.filter(|found| found.uid() != 0) {
            return Ok(Some(named_or_numbered(&passwd, found.uid(), found.gid())));
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| accounts(&passwd).find(|account| account.name == name))
            .map(Some)
            .ok_or(StartError::NoAccount)
    }

    /// Whether this account may pass through `folder`.
    pub(crate) fn may_pass(&self, folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|found| {
            let bit = if found.uid() == self.uid {
                0o100
            } else if found.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            found.mode() & bit != 0
        })
    }
}

/// Gives the open `file`, found at `path`, to the account, where there is one. Not what the path names: in a folder of
/// somebody else it may name another file by now, and a file with a second name may be one that is not theirs.
pub(crate) fn give(file: &File, path: &Path, account: Option<&Account>) -> Result<(), StartError> {
    let Some(account) = account else {
        return Ok(());
    };
    let found = file.metadata().map_err(StartError::io("look at", path))?;
    if found.is_file() && found.nlink() > 1 && found.uid() != account.uid {
        return Err(StartError::io("hand over", path)(io::Error::other("the file has a second name: remove this one")));
    }
    fchown(file, Some(account.uid), Some(account.gid)).map_err(StartError::io("hand over", path))
}

/// Lets `command` run as the account, where there is one, in `/`, away from our terminal's signals.
pub(crate) fn drop_to(command: &mut Command, account: Option<&Account>) {
    command.current_dir("/").process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

fn named_or_numbered(passwd: &str, uid: u32, gid: u32) -> Account {
    accounts(passwd).find(|account| account.uid == uid).unwrap_or_else(|| Account { name: format!("#{uid}"), uid, gid })
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account> + '_ {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_the_lines_of_passwd() {
        let found: Vec<_> =
            accounts("root:x:0:0:root:/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:/bin/false\n").collect();
        assert_eq!(found[1], Account { name: "nobody".into(), uid: 65534, gid: 65533 });
        assert_eq!(found.len(), 2);
    }
}
