//! Catalog hears from checkout what is in stock, without the two knowing each other.

use forebay_catalog::stock::{Changes, ChangesFuture, Level, Stock, Unheard};

/// The checkout of this very process.
#[derive(Debug)]
pub(crate) struct OwnStock(forebay_checkout::State);

impl OwnStock {
    pub(crate) fn of(checkout: forebay_checkout::State) -> Self {
        Self(checkout)
    }
}

impl Stock for OwnStock {
    fn changes<'a>(&'a self, cursor: Option<&'a str>) -> ChangesFuture<'a> {
        Box::pin(async move {
            let told = forebay_checkout::level_changes(&self.0, cursor).await;
            let told = told.map_err(|problem| Unheard(problem.code().as_str().to_owned()))?;
            let forebay_checkout::LevelChanges { as_of, levels, cursor, more } = told;
            let level = |one: forebay_checkout::SkuLevel| Level { sku: one.sku, level: one.level.as_str().to_owned() };
            Ok(Changes { as_of, levels: levels.into_iter().map(level).collect(), cursor, more })
        })
    }
}
