//! Products as those see and change them who run the shop.

use std::collections::{BTreeMap, BTreeSet};

use forebay_platform::text::Check;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Money;
use crate::error::Error;

const MOST_SKUS: usize = 100;
const MOST_ATTRIBUTES: usize = 20;
const LONGEST_NAME: usize = 200;
const LONGEST_BRAND: usize = 100;
const LONGEST_DESCRIPTION: usize = 5_000;
const LONGEST_SLUG: usize = 160;
const HIGHEST_PRICE: i64 = 1_000_000_000;
const SLUG_RULE: &str = "must be 1 to 160 of a-z, 0-9 and -, and no UUID";
const PRICE_RULE: &str =
    "must be an amount from 0 to 1000000000 in minor units, and a currency of three capital letters";

/// Whether a product is sold: `draft` is seen by admins alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sale {
    Draft,
    #[default]
    Active,
}

impl Sale {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
        }
    }
}

/// A product that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    /// Names it in links. No other product has it.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// What its buyers read of it.
    pub(crate) description: String,
    /// Who makes it.
    pub(crate) brand: String,
    /// The slug of its category.
    pub(crate) category: String,
    /// Whether it is sold from now on.
    #[serde(default)]
    pub(crate) status: Sale,
    /// 1 to 100, in one currency.
    pub(crate) skus: Vec<NewSku>,
}

/// What is to be sold of a product.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSku {
    /// Names it in carts and orders. No other product has it.
    pub(crate) sku: String,
    /// Of one unit.
    pub(crate) price: Money,
    /// What sets it apart from the others of the product, such as its size.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

impl NewProduct {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut check = Check::default()
            .rule(is_slug(&self.slug), "/slug", SLUG_RULE)
            .line("/name", &self.name, LONGEST_NAME)
            .rule(is_description(&self.description), "/description", DESCRIPTION_RULE)
            .line("/brand", &self.brand, LONGEST_BRAND)
            .rule((1..=MOST_SKUS).contains(&self.skus.len()), "/skus", "must hold 1 to 100 SKUs");
        let mut seen = BTreeSet::new();
        let currency = self.skus.first().map(|first| first.price.currency.as_str());
        for (number, sku) in self.skus.iter().take(MOST_SKUS).enumerate() {
            let at = |field: &str| format!("/skus/{number}/{field}");
            check = check
                .rule(is_sku(&sku.sku), &at("sku"), "must be 1 to 64 letters, digits, - and _")
                .rule(seen.insert(&sku.sku), &at("sku"), "stands twice")
                .rule(is_price(&sku.price), &at("price"), PRICE_RULE)
                .rule(currency == Some(&sku.price.currency), &at("price/currency"), "must be that of the first SKU");
            check = attributes(check, &at("attributes"), &sku.attributes);
        }
        check.finish().map_err(Error::Invalid)
    }

    /// What the product costs at the least.
    pub(crate) fn lowest_price(&self) -> Result<&Money, Error> {
        let lowest = self.skus.iter().map(|sku| &sku.price).min_by_key(|price| price.amount);
        lowest.ok_or_else(|| Error::invalid("/skus", "must hold 1 to 100 SKUs"))
    }
}

fn attributes(mut check: Check, pointer: &str, attributes: &BTreeMap<String, String>) -> Check {
    check = check.rule(attributes.len() <= MOST_ATTRIBUTES, pointer, "must hold 20 attributes at most");
    for (name, value) in attributes.iter().take(MOST_ATTRIBUTES) {
        let is_name =
            (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        check = check.rule(is_name, pointer, "must have names of 1 to 64 of a-z and _");
        if is_name {
            check = check.line(&format!("{pointer}/{name}"), value, LONGEST_NAME);
        }
    }
    check
}

/// What is to be changed of a product. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductChange {
    /// Names it in links. No other product has it.
    pub(crate) slug: Option<String>,
    /// What it is called.
    pub(crate) name: Option<String>,
    /// What its buyers read of it.
    pub(crate) description: Option<String>,
    /// Who makes it.
    pub(crate) brand: Option<String>,
    /// The slug of its category.
    pub(crate) category: Option<String>,
    /// Whether it is sold.
    pub(crate) status: Option<Sale>,
}

impl ProductChange {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self { slug, name, description, brand, category, status } = self;
        let texts = [slug, name, description, brand, category];
        let is_any = status.is_some() || texts.into_iter().any(Option::is_some);
        Check::default()
            .rule(is_any, "", "must name what to change")
            .rule(slug.as_deref().is_none_or(is_slug), "/slug", SLUG_RULE)
            .optional_line("/name", name.as_deref(), LONGEST_NAME)
            .rule(description.as_deref().is_none_or(is_description), "/description", DESCRIPTION_RULE)
            .optional_line("/brand", brand.as_deref(), LONGEST_BRAND)
            .finish()
            .map_err(Error::Invalid)
    }
}

/// What is to be changed of a SKU. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkuChange {
    /// Of one unit.
    pub(crate) price: Option<Money>,
    /// Whether it is sold.
    pub(crate) active: Option<bool>,
}

impl SkuChange {
    pub(crate) fn check(&self) -> Result<(), Error> {
        Check::default()
            .rule(self.price.is_some() || self.active.is_some(), "", "must name what to change")
            .rule(self.price.as_ref().is_none_or(is_price), "/price", PRICE_RULE)
            .finish()
            .map_err(Error::Invalid)
    }
}

/// A category.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCategory {
    /// Names it in links and filters. No other category has it.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// The slug of the category that it lies in; left out at the top.
    pub(crate) parent: Option<String>,
    /// Where it stands among its neighbours, the lowest first.
    #[serde(default)]
    pub(crate) position: i32,
}

impl NewCategory {
    pub(crate) fn check(&self) -> Result<(), Error> {
        Check::default()
            .rule(
                is_slug(&self.slug) && self.slug.len() <= 120,
                "/slug",
                "must be 1 to 120 of a-z, 0-9 and -, and no UUID",
            )
            .line("/name", &self.name, LONGEST_NAME)
            .finish()
            .map_err(Error::Invalid)
    }
}

/// A product, also one that is not sold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AdminProduct {
    #[serde(flatten)]
    pub(crate) facts: Facts,
    /// All of its SKUs.
    pub(crate) skus: Vec<AdminSku>,
}

impl AdminProduct {
    pub(crate) fn sku(&self, sku: &str) -> Option<&AdminSku> {
        self.skus.iter().find(|known| known.sku == sku)
    }
}

/// A product without its SKUs.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ProductFacts)]
pub(crate) struct Facts {
    /// Names it in a path.
    pub(crate) id: Uuid,
    /// Names it in links.
    pub(crate) slug: String,
    /// What it is called.
    pub(crate) name: String,
    /// What its buyers read of it.
    pub(crate) description: String,
    /// Who makes it.
    pub(crate) brand: String,
    /// The slug of its category.
    pub(crate) category: String,
    /// `draft`, `active` or `archived`.
    pub(crate) status: String,
    /// Of the cheapest of its SKUs that are sold.
    pub(crate) price: Money,
    /// Goes up with each change.
    pub(crate) version: i64,
    /// When it was made.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(serialize_with = "forebay_platform::instant::serialize")]
    pub(crate) updated_at: OffsetDateTime,
}

/// A SKU, also one that is not sold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AdminSku {
    /// Names it in carts and orders.
    pub(crate) sku: String,
    /// What sets it apart from the others of the product.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) attributes: serde_json::Value,
    /// Of one unit.
    pub(crate) price: Money,
    /// Whether it is sold.
    pub(crate) active: bool,
}

const DESCRIPTION_RULE: &str =
    "must have 1 to 5000 characters, with a letter or a digit and no control character but line feeds";

fn is_description(text: &str) -> bool {
    let is_plain = |char: char| !char.is_control() || char == '\n';
    (1..=LONGEST_DESCRIPTION).contains(&text.chars().count())
        && text.chars().all(is_plain)
        && text.chars().any(char::is_alphanumeric)
}

/// An id is looked for by itself.
fn is_slug(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_SLUG).contains(&text.len()) && text.bytes().all(is_plain) && Uuid::try_parse(text).is_err()
}

fn is_sku(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(is_plain)
}

fn is_price(price: &Money) -> bool {
    let is_currency = price.currency.len() == 3 && price.currency.bytes().all(|byte| byte.is_ascii_uppercase());
    is_currency && (0..=HIGHEST_PRICE).contains(&price.amount)
}
