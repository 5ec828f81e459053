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

/// Minor units (cents) and an ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

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

/// A product as a line of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedProduct)]
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) brand: String,
    pub(crate) price: Money,
    pub(crate) availability: String,
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

/// A product with all that its page shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) brand: String,
    pub(crate) category: String,
    pub(crate) price: Money,
    pub(crate) version: i64,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) availability: Availability,
}

/// A projection of the stock that somebody else owns, who has the exact number. It has been so since `as_of`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    pub(crate) state: String,
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) as_of: OffsetDateTime,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sku {
    pub(crate) sku: String,
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) attributes: serde_json::Value,
    pub(crate) price: Money,
    pub(crate) availability: String,
}

/// A picture of a product. Its address changes when the product does, so that it may be kept for long.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductImage)]
pub(crate) struct Image {
    url: String,
}

impl Image {
    pub(crate) fn of(product: Uuid, version: i64) -> Self {
        Self { url: format!("/v1/products/{product}/image.svg?v={version}") }
    }
}

/// The version of the product that a picture is wanted of: another address for another picture, and nothing more.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PictureQuery {
    #[serde(rename = "v")]
    _version: Option<u64>,
}

/// The answer about one product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductDetail)]
pub(crate) struct Detail {
    availability: Availability,
    product: Product,
    #[schema(value_type = Vec<Image>)]
    images: [Image; 1],
    skus: Vec<Sku>,
}

impl Detail {
    pub(crate) fn new(product: Product, skus: Vec<Sku>) -> Self {
        let images = [Image::of(product.id, product.version)];
        Self { availability: product.availability.clone(), product, images, skus }
    }
}
