//! Addresses that a user keeps for later.

use forebay_platform::address::Address;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many an account holds.
pub(crate) const MOST_ADDRESSES: i64 = 50;

/// An address that is kept in an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SavedAddress {
    /// Names it in the path.
    pub(crate) id: Uuid,
    #[serde(flatten)]
    pub(crate) address: Address,
}
