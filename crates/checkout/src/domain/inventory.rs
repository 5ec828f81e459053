//! What is on the shelf, as those who run the shop see and change it.

use forebay_platform::page::PageRequest;
use forebay_platform::problem::{Code, Problem};
use forebay_platform::text::Check;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Error;

/// Units that one adjustment may add or take away.
const MOST_ADJUSTED: i64 = 1_000_000;
/// Units of one SKU.
pub(crate) const MOST_ON_HAND: i32 = 1_000_000_000;
/// In characters.
const LONGEST_REASON: usize = 200;

/// Where the list is.
const LIST: &str = "/v1/admin/inventory";

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StockQuery {
    /// Only SKUs of which fewer units are to be had.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    below: Option<i64>,
    /// The `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

impl StockQuery {
    /// The page, and how few units there are to be of what is listed.
    pub(crate) fn parse(self) -> Result<(PageRequest<String>, Option<i32>), Problem> {
        let below =
            self.below.map(|below| i32::try_from(below).ok().filter(|below| (0..=MOST_ON_HAND).contains(below)));
        let below = below.map(|below| below.ok_or_else(wrong_below)).transpose()?;
        let text = below.map(|below| below.to_string());
        let page = PageRequest::parse(LIST, &[("below", text.as_deref())], self.limit, self.cursor.as_deref())?;
        Ok((page, below))
    }
}

fn wrong_below() -> Problem {
    Problem::of_parameter(Code::InvalidRequest, "below", "must be a whole number from 0 to 1000000000")
}

/// One SKU on the shelf.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stock)]
pub(crate) struct StockView {
    /// Which SKU.
    pub(crate) sku: String,
    /// Of its product; null where the catalog does not know it any more.
    pub(crate) name: Option<String>,
    /// Units that are there.
    pub(crate) on_hand: i32,
    /// Of these, held by orders that are not paid yet.
    pub(crate) reserved: i32,
    /// What the next buyer can have.
    pub(crate) available: i32,
    /// When any of it last changed.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) updated_at: OffsetDateTime,
}

/// Units that come or go, other than by an order.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StockAdjustment)]
pub(crate) struct Adjust {
    /// How many come; less than 0 where they go. Not 0.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    delta: i64,
    /// For those who run the shop.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A change of what is on the shelf that keeps the rules.
#[derive(Debug)]
pub(crate) struct Adjustment {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    pub(crate) delta: i32,
    pub(crate) reason: String,
    pub(crate) admin_id: Uuid,
    pub(crate) at: OffsetDateTime,
}

impl Adjust {
    pub(crate) fn check(&self, sku: String, admin_id: Uuid, at: OffsetDateTime) -> Result<Adjustment, Error> {
        let fits = self.delta != 0 && (-MOST_ADJUSTED..=MOST_ADJUSTED).contains(&self.delta);
        let delta = i32::try_from(self.delta).ok().filter(|_| fits);
        let rule = "must be a whole number from -1000000 to 1000000, and not 0";
        let checked =
            Check::default().rule(delta.is_some(), "/delta", rule).line("/reason", &self.reason, LONGEST_REASON);
        checked.finish().map_err(Error::Invalid)?;
        let delta = delta.ok_or_else(|| Error::invalid("/delta", rule))?;
        Ok(Adjustment { id: Uuid::now_v7(), sku, delta, reason: self.reason.clone(), admin_id, at })
    }
}

/// What was changed, and what is on the shelf now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StockAdjusted)]
pub(crate) struct Adjusted {
    /// Of this adjustment.
    pub(crate) id: Uuid,
    /// Which SKU.
    pub(crate) sku: String,
    /// How many units came; less than 0 where they went.
    pub(crate) delta: i32,
    /// Why.
    pub(crate) reason: String,
    /// Units that are there.
    pub(crate) on_hand: i32,
    /// Of these, held by orders that are not paid yet.
    pub(crate) reserved: i32,
    /// What the next buyer can have.
    pub(crate) available: i32,
    /// When it happened.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) at: OffsetDateTime,
}

/// What is on the shelf, and how much of it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Stock {
    pub(crate) on_hand: i32,
    pub(crate) reserved: i32,
}

impl Adjusted {
    pub(crate) fn new(adjustment: Adjustment, Stock { on_hand, reserved }: Stock) -> Self {
        let Adjustment { id, sku, delta, reason, at, .. } = adjustment;
        Self { id, sku, delta, reason, on_hand, reserved, available: on_hand - reserved, at }
    }
}
