//! What acquire and release cost: a dot for each pool and case, with the least and the most of the rounds.

use plotters::prelude::*;

use super::{PlotError, colour};
use crate::Row;
use crate::book::{Book, Spread};
use crate::pools::names;
use crate::rows::{contended, uncontended};

const WIDTH: u32 = 860;
const LINE: u32 = 22;

/// Everything to show, a line each; a case's name stands before its pools.
enum Line {
    Case(String),
    Pool(String, Spread),
}

pub(super) fn draw(book: &Book) -> Result<Option<String>, PlotError> {
    let lines = lines(book);
    let spreads = || {
        lines.iter().filter_map(|line| match line {
            Line::Pool(_, spread) => Some(spread),
            Line::Case(_) => None,
        })
    };
    let least = spreads().map(|spread| spread.min).fold(f64::MAX, f64::min);
    let most = spreads().map(|spread| spread.max).fold(0.0, f64::max);
    if lines.is_empty() {
        return Ok(None);
    }
    let height = LINE * u32::try_from(lines.len())?;
    let bottom = f64::from(height);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height + 90)).into_drawing_area();
        area.fill(&WHITE)?;
        let (names, plot) = area.split_horizontally(230);
        let mut chart = ChartBuilder::on(&plot)
            .caption("Nanoseconds per acquire and release", ("sans-serif", 18))
            .margin_right(110)
            .x_label_area_size(44)
            .build_cartesian_2d((least * 0.8..most * 1.2).log_scale(), bottom..0.0)?;
        chart
            .configure_mesh()
            .disable_y_axis()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .x_label_formatter(&|ns| format!("{ns:.0}"))
            .x_desc("ns (logarithmic), less is better")
            .label_style(("sans-serif", 13))
            .draw()?;
        let mut at = f64::from(LINE) / 2.0;
        for line in &lines {
            let y = chart.backend_coord(&(least, at)).1 - 7;
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
        area.present()?;
    }
    Ok(Some(svg))
}

fn lines(book: &Book) -> Vec<Line> {
    let mut lines = Vec::new();
    for (row, metric) in [(Row::Uncontended, uncontended::METRIC), (Row::Contended, contended::COST)] {
        for case in book.distinct(row, |figure| &figure.case) {
            let mut pools = book.distinct(row, |figure| &figure.pool);
            pools.sort_by_key(|pool| names::rank(pool));
            let found: Vec<Line> = pools
                .into_iter()
                .filter_map(|pool| Some(Line::Pool(pool.to_owned(), book.find(row, case, metric, pool)?.spread()?)))
                .collect();
            if !found.is_empty() {
                lines.push(Line::Case(case.to_owned()));
                lines.extend(found);
            }
        }
    }
    lines
}
