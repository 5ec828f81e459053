//! What is asked about accounts, and what is answered.

use forebay_platform::text::Check;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{EmailAddress, Tokens, password};
use crate::error::Error;

/// In characters.
const LONGEST_NAME: usize = 100;

/// Who opens an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// What the account is known by. An address has one account.
    #[schema(format = "email")]
    email: String,
    /// Refused where it is found by less than a million guesses.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub(crate) password: SecretString,
    /// How the person wants to be called.
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) name: String,
}

/// Who logs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// In whatever case it is written.
    pub(crate) email: String,
    /// That of the account.
    #[schema(value_type = String, format = Password)]
    pub(crate) password: SecretString,
}

/// Who stays logged in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Presented {
    /// The last one that was given out. It is spent by this.
    #[schema(value_type = String, format = Password)]
    pub(crate) refresh_token: SecretString,
}

impl Credentials {
    /// What accounts are told apart by, whether there is this one or not.
    pub(crate) fn account(&self) -> String {
        name_of_account(&self.email)
    }
}

/// The form by which an address is compared; of what is none, something that is no account's.
pub(crate) fn name_of_account(email: &str) -> String {
    EmailAddress::parse(email).map_or_else(|_| email.trim().to_lowercase(), EmailAddress::into_key)
}

/// What is to be changed of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewName {
    /// How the person wants to be called.
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) name: String,
}

/// A new password, with the one before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password until now.
    #[schema(value_type = String, format = Password)]
    pub(crate) current: SecretString,
    /// Refused where it is found by less than a million guesses.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    pub(crate) new: SecretString,
}

impl Registration {
    /// The address, where no rule is broken.
    pub(crate) fn check(&self) -> Result<EmailAddress, Error> {
        let email = EmailAddress::parse(&self.email);
        let email_rule = email.as_ref().err().copied().unwrap_or_default();
        let checked = Check::default()
            .rule(email.is_ok(), "/email", email_rule)
            .rule(password::has_length(&self.password), "/password", password::LENGTH_RULE)
            .line("/name", &self.name, LONGEST_NAME);
        checked.finish().map_err(Error::Invalid)?;
        email.map_err(|rule| Error::invalid("/email", rule))
    }
}

impl NewName {
    pub(crate) fn check(&self) -> Result<(), Error> {
        Check::default().line("/name", &self.name, LONGEST_NAME).finish().map_err(Error::Invalid)
    }
}

impl PasswordChange {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let checked = Check::default().rule(password::has_length(&self.new), "/new", password::LENGTH_RULE);
        checked.finish().map_err(Error::Invalid)
    }
}

/// An account as the store knows it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    /// As it was typed.
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password_hash: String,
}

impl Account {
    /// What others know of its user, so that no password may be made of it.
    pub(crate) fn words(&self) -> Vec<String> {
        words(&self.email, &self.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Customer,
    Admin,
}

impl Role {
    pub(crate) fn named(name: &str) -> Self {
        if name == "admin" { Self::Admin } else { Self::Customer }
    }

    /// As it is kept.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Admin => "admin",
        }
    }

    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Customer => "shop",
            Self::Admin => "shop admin",
        }
    }
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    /// Stays the same.
    pub(crate) id: Uuid,
    /// As it was typed at the registration.
    pub(crate) email: String,
    /// How the person wants to be called.
    pub(crate) name: String,
}

impl User {
    /// As those of an [`Account`].
    pub(crate) fn words(&self) -> Vec<String> {
        words(&self.email, &self.name)
    }
}

fn words(email: &str, name: &str) -> Vec<String> {
    let local = email.split('@').next().unwrap_or_default();
    [email, local, name].into_iter().chain(name.split_whitespace()).map(str::to_owned).collect()
}

/// A new account, and tokens for its first session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    /// The account.
    pub(crate) user: User,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
}
