//! What acquire and release cost: a dot for each pool and case, with the least and the most of the rounds.

use super::PlotError;
use super::dots::{Dots, Scale};
use crate::Row;
use crate::book::Book;
use crate::rows::{contended, uncontended};

pub(super) fn draw(book: &Book) -> Result<Option<String>, PlotError> {
    let mut dots = Dots {
        title: "Nanoseconds per acquire and release",
        axis: "ns (logarithmic), less is better",
        scale: Scale::Logarithmic,
        lines: Vec::new(),
    };
    dots.add(book, Row::Uncontended, uncontended::METRIC);
    dots.add(book, Row::Contended, contended::COST);
    dots.draw()
}
