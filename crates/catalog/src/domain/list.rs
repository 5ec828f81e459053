//! Which products a list holds, and how a page is cut from it.

use std::collections::BTreeSet;

use form_urlencoded::Serializer;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Listed, Sort};
use crate::cursor::{self, After};
use crate::error::Error;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
const MOST_IDS: usize = 100;
const LONGEST_TEXT: usize = 200;
const HIGHEST_PRICE: i64 = 1_000_000_000;

/// A search finds no more than its best hits.
pub(crate) const MOST_HITS: i64 = 200;

/// The query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before, with the same filters and `sort`.
    cursor: Option<String>,
    /// `newest` by default; with `q` it is `relevance`.
    #[param(inline)]
    sort: Option<Sort>,
    /// Words that are searched for in names, brands and descriptions, with `"a phrase"`, `or` and `-without`.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// The slug of a category: what lies in it, or below it.
    #[param(min_length = 1, max_length = 200)]
    category: Option<String>,
    /// Exactly as a product has it.
    #[param(min_length = 1, max_length = 200)]
    brand: Option<String>,
    /// In minor units, included.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    min_price: Option<i64>,
    /// In minor units, included.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    max_price: Option<i64>,
    /// `true`: only what is to be had; `false`: only what is sold out.
    in_stock: Option<bool>,
    /// 1 to 100 ids with commas between them.
    ids: Option<String>,
    /// `estimate`: answers with `page.estimated_count` too.
    #[param(inline)]
    count: Option<Count>,
}

/// How the products of a list are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Count {
    Estimate,
}

/// What the products of a list have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) search: Option<Search>,
    /// The slug of a category; what lies below it counts too.
    pub(crate) category: Option<String>,
    pub(crate) brand: Option<String>,
    pub(crate) min_price: Option<i64>,
    pub(crate) max_price: Option<i64>,
    pub(crate) in_stock: Option<bool>,
    pub(crate) ids: Option<BTreeSet<Uuid>>,
}

/// What is searched for: its words, or where nobody uses these, names that resemble it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) text: String,
    pub(crate) resembling: bool,
}

/// A page that may be asked for.
#[derive(Debug)]
pub(crate) struct PageRequest {
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    pub(crate) after: After,
    pub(crate) limit: i64,
    pub(crate) estimate: bool,
    is_first: bool,
}

impl ListQuery {
    pub(crate) fn parse(self) -> Result<PageRequest, Error> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let is_possible = (1..=MAX_LIMIT).contains(&limit);
        require(is_possible, "limit", "must be a whole number from 1 to 100")?;
        let mut filter = Filter {
            search: self.q.map(|text| line("q", &text)).transpose()?.map(Search::for_words),
            category: self.category.map(|slug| line("category", &slug)).transpose()?,
            brand: self.brand.map(|brand| line("brand", &brand)).transpose()?,
            min_price: self.min_price.map(|price| possible_price("min_price", price)).transpose()?,
            max_price: self.max_price.map(|price| possible_price("max_price", price)).transpose()?,
            in_stock: self.in_stock,
            ids: self.ids.map(|ids| ids_in(&ids)).transpose()?,
        };
        let in_order = filter.min_price.zip(filter.max_price).is_none_or(|(min, max)| min <= max);
        require(in_order, "min_price", "must not be above max_price")?;
        let is_search = filter.search.is_some();
        let sort = self.sort.unwrap_or(if is_search { Sort::Relevance } else { Sort::Newest });
        require(is_search || sort != Sort::Relevance, "sort", "can be relevance only with q")?;
        let is_first = self.cursor.is_none();
        let (after, resembling) = match self.cursor {
            Some(text) => cursor::decode(&text, sort, &filter.to_query())?,
            None => (After::start(sort), false),
        };
        if let Some(search) = &mut filter.search {
            search.resembling = resembling;
        }
        Ok(PageRequest { filter, sort, after, limit, estimate: self.count.is_some(), is_first })
    }
}

fn require(holds: bool, name: &'static str, rule: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidParameter { name, rule }) }
}

/// Words, one space between them.
fn line(name: &'static str, text: &str) -> Result<String, Error> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    require((1..=LONGEST_TEXT).contains(&text.chars().count()), name, "must have 1 to 200 characters")?;
    Ok(text)
}

fn possible_price(name: &'static str, price: i64) -> Result<i64, Error> {
    let rule = "must be a whole number of minor units from 0 to 1000000000";
    require((0..=HIGHEST_PRICE).contains(&price), name, rule)?;
    Ok(price)
}

fn ids_in(text: &str) -> Result<BTreeSet<Uuid>, Error> {
    let ids = text.split(',').map(|id| Uuid::try_parse(id.trim())).collect::<Result<BTreeSet<_>, _>>();
    let ids = ids.ok().filter(|ids| ids.len() <= MOST_IDS);
    ids.ok_or(Error::InvalidParameter { name: "ids", rule: "must be 1 to 100 UUIDs with commas between them" })
}

impl Search {
    fn for_words(text: String) -> Self {
        Self { text, resembling: false }
    }
}

impl Filter {
    /// Whether every product is in the list.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// As parameters of a query. Two lists with the same are the same list, and a cursor is good for one of them.
    pub(crate) fn to_query(&self) -> String {
        let ids = self.ids.as_ref().map(|ids| ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(","));
        let pairs = [
            ("q", self.search.as_ref().map(|search| search.text.clone())),
            ("category", self.category.clone()),
            ("brand", self.brand.clone()),
            ("min_price", self.min_price.map(|price| price.to_string())),
            ("max_price", self.max_price.map(|price| price.to_string())),
            ("in_stock", self.in_stock.map(|is| is.to_string())),
            ("ids", ids),
        ];
        let said = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Serializer::new(String::new()).extend_pairs(said).finish()
    }
}

impl PageRequest {
    #[cfg(test)]
    pub(crate) fn of(filter: Filter, sort: Sort, after: After) -> Self {
        Self { filter, sort, after, limit: DEFAULT_LIMIT, estimate: false, is_first: true }
    }

    /// The same in search of names that resemble what was asked for, where that may be said of a list that is empty.
    pub(crate) fn resembling(&self) -> Option<Self> {
        let search = self.filter.search.as_ref().filter(|search| self.is_first && !search.resembling)?;
        let search = Some(Search { text: search.text.clone(), resembling: true });
        let filter = Filter { search, ..self.filter.clone() };
        Some(Self { filter, after: self.after.clone(), ..*self })
    }

    fn is_resembling(&self) -> bool {
        self.filter.search.as_ref().is_some_and(|search| search.resembling)
    }

    /// The query of the page that begins there.
    pub(crate) fn next(&self, cursor: &str) -> String {
        let mut query = Serializer::new(self.filter.to_query());
        query.append_pair("sort", self.sort.name()).append_pair("limit", &self.limit.to_string());
        if self.estimate {
            query.append_pair("count", "estimate");
        }
        query.append_pair("cursor", cursor).finish()
    }
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductPage)]
pub(crate) struct Page {
    /// The products, in the order that was asked for.
    pub(crate) data: Vec<Listed>,
    /// Which part of the list it is.
    pub(crate) page: PageInfo,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProductPageInfo)]
pub(crate) struct PageInfo {
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
    /// How many there may be on it.
    pub(crate) limit: i64,
    /// About how many products the whole list has. Only with `count=estimate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_count: Option<i64>,
    /// `true` where nothing has the words that were searched for: these are names that resemble them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resembling: bool,
}

impl Page {
    /// `rows` holds one more than the limit where there is a next page.
    pub(crate) fn cut(mut rows: Vec<Listed>, request: &PageRequest, estimated_count: Option<i64>) -> Self {
        let limit = usize::try_from(request.limit).expect("a limit is between 1 and 100");
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let resembling = request.is_resembling();
        let filter = request.filter.to_query();
        let next_cursor = last.map(|row| cursor::encode(row.as_last(request.sort), &filter, resembling));
        Self { data: rows, page: PageInfo { next_cursor, limit: request.limit, estimated_count, resembling } }
    }
}
