//! How much there is of what is sold.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;

/// Fewer than so many free units are few. The schema has it too, where it notes changes of levels.
const FEW: i32 = 20;
/// How many SKUs may be asked for at once.
const MOST_ASKED: usize = 50;
const LONGEST_SKU: usize = 64;

/// The query of exact numbers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AvailabilityQuery {
    /// 1 to 50 SKUs with commas between them.
    sku: String,
}

impl AvailabilityQuery {
    /// Each once, in order.
    pub(crate) fn parse(&self) -> Result<Vec<String>, Error> {
        let skus: BTreeSet<_> = self.sku.split(',').map(str::to_owned).collect();
        if skus.len() > MOST_ASKED || !skus.iter().all(|sku| is_sku(sku)) {
            let rule = "must be 1 to 50 SKUs with commas between them";
            return Err(Error::InvalidParameter { name: "sku", rule });
        }
        Ok(skus.into_iter().collect())
    }
}

fn is_sku(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_SKU).contains(&text.len()) && text.bytes().all(is_plain)
}

/// The query of changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// That of the answer before; without it begins a reading of all SKUs.
    pub(crate) cursor: Option<String>,
}

/// How many units of a SKU are free at this moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SkuAvailability)]
pub(crate) struct Availability {
    /// Which SKU.
    pub(crate) sku: String,
    /// How many.
    pub(crate) available: i32,
    /// This moment.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) as_of: OffsetDateTime,
}

/// Whether there is any of a SKU: `in_stock` is 20 units or more, `low` fewer, `out_of_stock` none that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Twenty units or more.
    InStock,
    /// Fewer.
    Low,
    /// None that is free.
    OutOfStock,
}

impl Level {
    pub(crate) fn of(available: i32) -> Self {
        match available {
            ..1 => Self::OutOfStock,
            1..FEW => Self::Low,
            _ => Self::InStock,
        }
    }

    /// As it is called in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InStock => "in_stock",
            Self::Low => "low",
            Self::OutOfStock => "out_of_stock",
        }
    }
}

/// Whether there is any of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SkuLevel {
    /// Which SKU.
    pub sku: String,
    /// How many, in a word.
    pub level: Level,
}

/// A part of what changed. All of it is told at least once, some of it twice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LevelChanges {
    /// Nothing in it is older.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub as_of: OffsetDateTime,
    /// The levels as they are.
    pub levels: Vec<SkuLevel>,
    /// What to ask with for the next part.
    pub cursor: String,
    /// Whether there is more of it already.
    pub more: bool,
}

/// How far somebody has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// All that was changed by earlier transactions was read; none says that nothing was, and all levels are read.
    pub(crate) since: Option<u64>,
    /// In the middle of a round: those up to this SKU were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) round: Option<Round>,
}

/// A round that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Round {
    /// Where the next round begins.
    pub(crate) next: u64,
    pub(crate) after: String,
}

impl Reading {
    pub(crate) fn parse(cursor: Option<&str>) -> Result<Self, Error> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let json = URL_SAFE_NO_PAD.decode(cursor).ok();
        let reading = json.and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        let is_possible = |reading: &Self| reading.round.as_ref().is_none_or(|round| is_sku(&round.after));
        reading.filter(is_possible).ok_or(Error::InvalidCursor)
    }

    pub(crate) fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("numbers and strings always serialize"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_change_at_none_and_at_twenty() {
        let levels = [-1, 0, 1, 19, 20, i32::MAX].map(Level::of);
        use Level::{InStock, Low, OutOfStock};
        assert_eq!(levels, [OutOfStock, OutOfStock, Low, Low, InStock, InStock]);
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_garbage_is_refused() {
        let round = Some(Round { next: 9, after: "SKU-1".to_owned() });
        for reading in [Reading::default(), Reading { since: Some(u64::MAX), round }] {
            assert_eq!(Reading::parse(Some(&reading.to_cursor())).unwrap(), reading);
        }
        let forged = Reading { since: None, round: Some(Round { next: 1, after: "a\0b".to_owned() }) };
        for garbage in ["", "x", "%", &forged.to_cursor()] {
            assert!(Reading::parse(Some(garbage)).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_list_of_skus_is_read_strictly() {
        let parse = |sku: &str| AvailabilityQuery { sku: sku.to_owned() }.parse().ok();
        assert_eq!(parse("b,a,b").unwrap(), ["a", "b"]);
        let many = (0..51).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        for wrong in ["", ",", "a,", "a b", "ä", &"x".repeat(65), &many] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
