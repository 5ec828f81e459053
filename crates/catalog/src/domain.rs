//! The words of the catalog, and how a page is cut.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::cursor::{self, After};
use crate::error::Error;

/// Minor units (cents) and an ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
    #[serde(skip)]
    pub(crate) created_at: OffsetDateTime,
    #[serde(skip)]
    pub(crate) popularity: i64,
}

impl Listed {
    fn as_last(&self, sort: Sort) -> After {
        match sort {
            Sort::Newest => After::Newest(cursor::micros(self.created_at), self.id),
            Sort::Popular => After::Popular(self.popularity, self.id),
            Sort::PriceAsc => After::PriceAsc(self.price.amount, self.id),
            Sort::PriceDesc => After::PriceDesc(self.price.amount, self.id),
            Sort::Name => After::Name(self.name.clone(), self.id),
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

/// A projection: `as_of` says how old it is. Checkout has the exact number.
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
}

/// The answer about one product.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductDetail)]
pub(crate) struct Detail {
    availability: Availability,
    product: Product,
    skus: Vec<Sku>,
}

impl Detail {
    pub(crate) fn new(product: Product, skus: Vec<Sku>) -> Self {
        Self { availability: product.availability.clone(), product, skus }
    }
}

/// The query string of a list, as it is sent.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before, with the same `sort`.
    cursor: Option<String>,
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
}

/// A page that may be asked for.
#[derive(Debug)]
pub(crate) struct PageRequest {
    pub(crate) sort: Sort,
    pub(crate) after: After,
    pub(crate) limit: i64,
}

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

/// No list has a filter yet; the cursor already carries the hash of their canonical text.
const NO_FILTER: &str = "";

impl ListQuery {
    pub(crate) fn parse(self) -> Result<PageRequest, Error> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::InvalidLimit);
        }
        let after = match self.cursor {
            Some(text) => cursor::decode(&text, self.sort, NO_FILTER)?,
            None => After::start(self.sort),
        };
        Ok(PageRequest { sort: self.sort, after, limit })
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductPage)]
pub(crate) struct Page {
    pub(crate) data: Vec<Listed>,
    pub(crate) page: PageInfo,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageInfo {
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
    pub(crate) limit: i64,
}

impl Page {
    /// `rows` holds one more than the limit where there is a next page.
    pub(crate) fn cut(mut rows: Vec<Listed>, request: &PageRequest) -> Self {
        let limit = usize::try_from(request.limit).expect("a limit is between 1 and 100");
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|row| cursor::encode(row.as_last(request.sort), NO_FILTER));
        Self { data: rows, page: PageInfo { next_cursor, limit: request.limit } }
    }
}
