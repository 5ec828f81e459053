//! A line for each pool of each case: a dot at the median, a bar from the least to the most.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::{PlotError, colour};
use crate::Row;
use crate::book::{Book, Spread};
use crate::pools::names;

const WIDTH: u32 = 860;
const LINE: u32 = 22;

/// The plot, from top to bottom.
pub(super) struct Dots {
    pub(super) title: &'static str,
    pub(super) axis: &'static str,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line>,
}

pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// A case's name stands before its pools.
pub(super) enum Line {
    Case(String),
    Pool(String, Spread),
}

impl Dots {
    /// Adds the cases of a row.
    pub(super) fn add(&mut self, book: &Book, row: Row, metric: &str) {
        for case in book.distinct(row, |figure| &figure.case) {
            let mut pools = book.distinct(row, |figure| &figure.pool);
            pools.sort_by_key(|pool| names::rank(pool));
            let found: Vec<Line> = pools
                .into_iter()
                .filter_map(|pool| Some(Line::Pool(pool.to_owned(), book.find(row, case, metric, pool)?.spread()?)))
                .collect();
            if !found.is_empty() {
                self.lines.push(Line::Case(case.to_owned()));
                self.lines.extend(found);
            }
        }
    }

    /// Nothing where there is nothing to show.
    pub(super) fn draw(&self) -> Result<Option<String>, PlotError> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let spreads = || {
            self.lines.iter().filter_map(|line| match line {
                Line::Pool(_, spread) => Some(spread),
                Line::Case(_) => None,
            })
        };
        let least = spreads().map(|spread| spread.min).fold(f64::MAX, f64::min);
        let most = spreads().map(|spread| spread.max).fold(f64::MIN, f64::max);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, self.height()? + 90)).into_drawing_area();
            area.fill(&WHITE)?;
            match self.scale {
                Scale::Logarithmic => self.draw_on(&area, (least * 0.8..most * 1.2).log_scale(), least)?,
                Scale::Linear => {
                    let margin = (most - least).max(1.0) / 20.0;
                    self.draw_on(&area, least.min(0.0) - margin..most + margin, least)?;
                }
            }
            area.present()?;
        }
        Ok(Some(svg))
    }

    fn height(&self) -> Result<u32, PlotError> {
        Ok(LINE * u32::try_from(self.lines.len())?)
    }

    fn draw_on<X>(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, range: X, somewhere: f64) -> Result<(), PlotError>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let (names, plot) = area.split_horizontally(230);
        let mut chart = ChartBuilder::on(&plot)
            .caption(self.title, ("sans-serif", 18))
            .margin_right(110)
            .x_label_area_size(44)
            .build_cartesian_2d(range, f64::from(self.height()?)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_axis()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .x_desc(self.axis)
            .label_style(("sans-serif", 13))
            .draw()?;
        let mut at = f64::from(LINE) / 2.0;
        for line in &self.lines {
            let y = chart.backend_coord(&(somewhere, at)).1 - 7;
            match line {
                Line::Case(case) => {
                    let style = ("sans-serif", 14).into_font().style(FontStyle::Bold);
                    names.draw(&Text::new(case.clone(), (8, y), style))?;
                }
                Line::Pool(pool, spread) => {
                    names.draw(&Text::new(pool.clone(), (24, y), ("sans-serif", 14)))?;
                    let style = colour(pool).stroke_width(2);
                    chart.draw_series([PathElement::new(vec![(spread.min, at), (spread.max, at)], style)])?;
                    chart.draw_series([Circle::new((spread.median, at), 4, colour(pool).filled())])?;
                    let value = Text::new(format!("{:.0}", spread.median), (10, -6), ("sans-serif", 13));
                    chart.draw_series([EmptyElement::at((spread.max, at)) + value])?;
                }
            }
            at += f64::from(LINE);
        }
        Ok(())
    }
}
