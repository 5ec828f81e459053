//! Plots of a report, as SVG. They are drawn on white, so that they can be read on a dark page too.

mod costs;
mod dots;
mod overload;
mod regret;
mod steady;

use plotters::style::RGBColor;

use crate::book::Book;
use crate::pools::names;

/// Why a plot could not be drawn.
pub type PlotError = Box<dyn std::error::Error>;

/// Every plot for which there are figures, by file name.
///
/// # Errors
/// The plotting library's.
pub fn all(book: &Book) -> Result<Vec<(&'static str, String)>, PlotError> {
    let plots = [
        ("costs.svg", costs::draw(book)?),
        ("overload.svg", overload::draw(book)?),
        ("steady.svg", steady::draw(book)?),
        ("regret.svg", regret::draw(book)?),
    ];
    Ok(plots.into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect())
}

/// The colour of a pool in every plot: one hue for each family, from a palette that the colour-blind can tell apart (Okabe and
/// Ito, "Color universal design", 2008), paler for those that nobody has tuned.
fn colour(pool: &str) -> RGBColor {
    match pool {
        names::FOREBAY | names::FOREBAY_ADMIT => RGBColor(0, 114, 178),
        names::FOREBAY_FIXED | names::FOREBAY_CONTINUING | names::FOREBAY_TWENTY | names::FOREBAY_EIGHTY => {
            RGBColor(86, 180, 233)
        }
        names::SQLX => RGBColor(213, 94, 0),
        names::SQLX_NO_PING | names::SQLX_TUNED => RGBColor(230, 159, 0),
        names::DEADPOOL | names::DEADPOOL_BEST | names::DEADPOOL_TUNED | names::DEADPOOL_LIMIT => RGBColor(0, 158, 115),
        names::DEADPOOL_DEFAULT | names::DEADPOOL_TEN => RGBColor(138, 214, 185),
        names::BB8 | names::BB8_TUNED => RGBColor(204, 121, 167),
        names::BB8_DEFAULT => RGBColor(235, 200, 220),
        _ => RGBColor(110, 110, 110),
    }
}
