//! The words of the catalog.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::cursor::{self, After};

mod admin;
mod category;
mod list;

pub(crate) use admin::{AdminProduct, AdminSku, Facts, NewCategory, NewProduct, ProductChange, Sale, SkuChange};
pub(crate) use category::{Categories, Category, CategoryView, MOST_LEVELS, Row as CategoryRow};
#[cfg(test)]
pub(crate) use list::Search;
pub(crate) use list::{Filter, ListQuery, MOST_HITS, Page, PageRequest};

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    /// In minor units, such as cents.
    pub(crate) amount: i64,
    /// A code of ISO 4217, such as `EUR`.
    pub(crate) currency: String,
}

/// By what a list is sorted. `relevance` is for a search alone: the best hits first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    #[default]
    Newest,
    Popular,
    PriceAsc,
    PriceDesc,
    Name,
    /// Of a search: the best hits first.
    Relevance,
}

impl Sort {
    /// As it is called in a query.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Popular => "popular",
            Self::PriceAsc => "price_asc",
            Self::PriceDesc => "price_desc",
            Self::Name => "name",
            Self::Relevance => "relevance",
        }
    }
}

/// A product in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedProduct)]
pub(crate) struct Listed {
    /// Names it in a path, as the slug does.
    pub(crate) id: Uuid,
    /// Names it in a path, and in links that people read.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// Who makes it.
    pub(crate) brand: String,
    /// Of the cheapest of its SKUs.
    pub(crate) price: Money,
    /// `in_stock`, `low` or `out_of_stock`, at most five seconds behind.
    pub(crate) availability: String,
    /// What it looks like.
    #[schema(value_type = Vec<Image>)]
    pub(crate) images: [Image; 1],
    #[serde(skip)]
    pub(crate) created_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) popularity: i64,
    /// Millionths; zero where nothing was searched for.
    #[serde(skip)]
    pub(crate) relevance: i64,
}

impl Listed {
    pub(crate) fn as_last(&self, sort: Sort) -> After {
        match sort {
            Sort::Newest => After::Newest(cursor::micros(self.created_at), self.id),
            Sort::Popular => After::Popular(self.popularity, self.id),
            Sort::PriceAsc => After::PriceAsc(self.price.amount, self.id),
            Sort::PriceDesc => After::PriceDesc(self.price.amount, self.id),
            Sort::Name => After::Name(self.name.clone(), self.id),
            Sort::Relevance => After::Relevance(self.relevance, self.popularity, self.id),
        }
    }
}

/// What a product is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    /// Names it in a path, as the slug does.
    pub(crate) id: Uuid,
    /// Names it in a path, and in links that people read.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// What its buyers read of it.
    pub(crate) description: String,
    /// Who makes it.
    pub(crate) brand: String,
    /// The slug of its category.
    pub(crate) category: String,
    /// Of the cheapest of its SKUs.
    pub(crate) price: Money,
    /// Goes up with each change.
    pub(crate) version: i64,
    /// When it came into the shop.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) availability: Availability,
}

/// Whether a product is to be had, at most five seconds behind. `GET /v1/availability` has the exact numbers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    /// `in_stock`: 20 units or more of each SKU; `low`: less, or not of every SKU; `out_of_stock`: none of any.
    pub(crate) state: String,
    /// Since when it is so.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) as_of: OffsetDateTime,
}

/// What can be put into a cart: a product in one size, colour and the like.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sku {
    /// Names it in carts and orders.
    pub(crate) sku: String,
    /// What sets it apart from the others of the product.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) attributes: serde_json::Value,
    /// Of one unit.
    pub(crate) price: Money,
    /// `in_stock`, `low` or `out_of_stock`, at most five seconds behind.
    pub(crate) availability: String,
}

/// A picture of a product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductImage)]
pub(crate) struct Image {
    /// Changes when the product does, so that it may be kept for long.
    url: String,
}

impl Image {
    pub(crate) fn of(product: Uuid, version: i64) -> Self {
        Self { url: format!("/v1/products/{product}/image.svg?v={version}") }
    }
}

/// The query of a picture.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PictureQuery {
    /// The version of the product, as in the addresses that `images` has. The newest picture is answered in any case.
    #[serde(rename = "v")]
    _version: Option<u64>,
}

/// A product, with all that can be bought of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductDetail)]
pub(crate) struct Detail {
    /// Whether any of it is to be had.
    availability: Availability,
    /// What it is.
    product: Product,
    /// What it looks like.
    #[schema(value_type = Vec<Image>)]
    images: [Image; 1],
    /// What can be bought of it.
    skus: Vec<Sku>,
}

impl Detail {
    pub(crate) fn new(product: Product, skus: Vec<Sku>) -> Self {
        let images = [Image::of(product.id, product.version)];
        Self { availability: product.availability.clone(), product, images, skus }
    }
}
