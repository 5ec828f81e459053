//! Accounts and their addresses, passwords, sessions.

mod account;
mod address;
mod password;
mod session;

pub(crate) use account::{
    Account, Credentials, NewName, PasswordChange, Presented, Registered, Registration, Role, User, name_of_account,
};
pub(crate) use address::{MOST_ADDRESSES, SavedAddress};
pub(crate) use forebay_platform::email::EmailAddress;
pub(crate) use password::{is_guessable, is_possible, prepared};
pub(crate) use session::{
    KnownToken, Login, REFRESH_LIFE, RefreshToken, Session, SessionView, Spent, TokenHash, Tokens, Verdict, hash_of,
    judge,
};
