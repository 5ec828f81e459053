//! What each pool loses against the best size: a dot for each pool and kind of work, with the least and the most of the rounds.

use super::PlotError;
use super::dots::{Dots, Scale};
use crate::Row;
use crate::book::Book;
use crate::rows::regret::LOSS;

pub(super) fn draw(book: &Book) -> Result<Option<String>, PlotError> {
    let mut dots = Dots {
        title: "Throughput lost against the best static size",
        axis: "%, less is better",
        scale: Scale::Linear,
        lines: Vec::new(),
    };
    dots.add(book, Row::Regret, LOSS);
    dots.draw()
}
