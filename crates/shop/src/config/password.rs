//! Whether the database's password is the one that everybody can read in the published example.

use secrecy::{ExposeSecret as _, SecretString};

/// How the published passwords begin.
pub(super) const EXAMPLE: &str = "change-me";

/// Looks at the password in `url`; where there is none sqlx takes `PGPASSWORD`, and so does this.
pub(super) fn is_an_example(url: Option<&SecretString>, pgpassword: Option<&SecretString>) -> bool {
    let Some(url) = url else { return false };
    let of_environment = || pgpassword.map(|password| password.expose_secret().to_owned());
    in_url(url.expose_secret()).or_else(of_environment).is_some_and(|password| password.starts_with(EXAMPLE))
}

/// What follows the user's name, or stands in the query, which goes before it. Only the escapes that the example could be
/// written with are undone.
fn in_url(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user_info = authority.rsplit_once('@').and_then(|(user_info, _)| user_info.split_once(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let asked = query.split(['&', '#']).filter_map(|pair| pair.strip_prefix("password=")).next_back();
    let password = asked.or(user_info.map(|(_, password)| password).filter(|password| !password.is_empty()))?;
    Some(password.replace("%2D", "-").replace("%2d", "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, pgpassword: Option<&str>) -> bool {
        is_an_example(Some(&url.into()), pgpassword.map(SecretString::from).as_ref())
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
        assert!(!found("postgres://db/shop", None) && !found("", None) && !found("postgres://", None));
        assert!(!is_an_example(None, Some(&"change-me".into())), "the embedded server has its own");
    }
}
