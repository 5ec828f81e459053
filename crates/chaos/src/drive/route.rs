//! What a journey asks for, as `docs/api.md` lists it.

use serde::{Serialize, Serializer};

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// A page of products.
    List,
    /// One product.
    Product,
    /// A new cart.
    NewCart,
    /// An item put into a cart.
    PutItem,
    /// An order.
    Order,
    /// A session gone on with.
    Refresh,
    /// A login with a password.
    Login,
}

impl Route {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::List, Self::Product, Self::NewCart, Self::PutItem, Self::Order, Self::Refresh, Self::Login];

    /// Method and path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "GET /v1/products",
            Self::Product => "GET /v1/products/{id}",
            Self::NewCart => "POST /v1/carts",
            Self::PutItem => "PUT /v1/carts/{id}/items/{sku}",
            Self::Order => "POST /v1/orders",
            Self::Refresh => "POST /v1/auth/refresh",
            Self::Login => "POST /v1/auth/login",
        }
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
