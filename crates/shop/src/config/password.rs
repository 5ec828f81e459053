//! Whether the database's password is the one that everybody can read in the published example.

use secrecy::{ExposeSecret as _, SecretString};

use crate::Address;

/// How the published passwords begin.
pub(super) const EXAMPLE: &str = "change-me";

/// Looks at the password in the address; where there is none sqlx takes `PGPASSWORD`, and so does this.
pub(super) fn is_an_example(address: Option<&Address>, pgpassword: Option<&SecretString>) -> bool {
    let Some(address) = address else { return false };
    let of_environment = || pgpassword.map(|password| password.expose_secret());
    address.password().or_else(of_environment).is_some_and(|password| password.starts_with(EXAMPLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, pgpassword: Option<&str>) -> bool {
        is_an_example(Some(&url.parse().unwrap()), pgpassword.map(SecretString::from).as_ref())
    }

    #[test]
    fn it_is_found_wherever_it_is_taken_from() {
        assert!(found("postgres://forebay:change-me@db:5432/shop", None));
        assert!(found("postgres://forebay:change%2Dme-forebay@db/shop", Some("other")));
        assert!(found("postgres://forebay@db/shop?sslmode=disable&password=change-me", None));
        assert!(found("postgres://forebay@db/shop", Some("change-me-forebay")));
        assert!(found("postgres://db", Some("change-me")));
        assert!(found("postgres://forebay:@db/shop", Some("change-me")), "an empty one is none");
    }

    #[test]
    fn another_password_is_none_of_everybodys_business() {
        assert!(!found("postgres://forebay:secret@db/change-me", None));
        assert!(!found("postgres://forebay:secret@db/shop", Some("change-me")), "the address goes first");
        assert!(!found("postgres://change-me@db/shop", None));
        assert!(!found("postgres://db/shop", None) && !found("postgres://", None));
        assert!(!is_an_example(None, Some(&"change-me".into())), "the embedded server has its own");
    }
}
