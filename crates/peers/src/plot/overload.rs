//! Goodput over load: a line for each pool, with the least and the most of the rounds.

use plotters::prelude::*;

use super::{PlotError, colour};
use crate::Row;
use crate::book::{Book, Spread};
use crate::pools::names;
use crate::rows::verdict::GOODPUT;

const SIZE: (u32, u32) = (860, 440);

pub(super) fn draw(book: &Book) -> Result<Option<String>, PlotError> {
    let mut pools = book.distinct(Row::Overload, |figure| &figure.pool);
    pools.sort_by_key(|pool| names::rank(pool));
    let lines: Vec<(&str, Vec<(f64, Spread)>)> =
        pools.into_iter().map(|pool| (pool, line(book, pool))).filter(|(_, line)| !line.is_empty()).collect();
    let loads = || lines.iter().flat_map(|(_, line)| line).map(|(load, _)| *load);
    let (least, most) = (loads().fold(f64::MAX, f64::min), loads().fold(0.0, f64::max));
    if lines.is_empty() {
        return Ok(None);
    }
    let mut ticks: Vec<f64> = loads().collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(650);
        let mut chart = ChartBuilder::on(&plot)
            .caption("Answered within 250 ms, of what was possible", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d((least * 0.9..most * 1.1).log_scale().with_key_points(ticks), 0.0..1.15)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .x_desc("load, as a multiple of the capacity (logarithmic)")
            .x_label_formatter(&|load| format!("{load}x"))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (index, (pool, line)) in lines.iter().enumerate() {
            // Side by side, or they would hide each other.
            let aside = 0.992_f64.powi(i32::try_from(lines.len())? / 2 - i32::try_from(index)?);
            let style = colour(pool).stroke_width(if *pool == names::FOREBAY { 3 } else { 2 });
            chart.draw_series(LineSeries::new(line.iter().map(|(load, at)| (load * aside, at.median)), style))?;
            for (load, at) in line {
                chart.draw_series([PathElement::new(
                    vec![(load * aside, at.min), (load * aside, at.max)],
                    colour(pool),
                )])?;
                chart.draw_series([Circle::new((load * aside, at.median), 3, colour(pool).filled())])?;
            }
            let y = 70 + 26 * i32::try_from(index)?;
            legend.draw(&PathElement::new(vec![(4, y), (28, y)], style))?;
            legend.draw(&Text::new((*pool).to_owned(), (36, y - 7), ("sans-serif", 14)))?;
        }
        area.present()?;
    }
    Ok(Some(svg))
}

fn line(book: &Book, pool: &str) -> Vec<(f64, Spread)> {
    let cases = book.distinct(Row::Overload, |figure| &figure.case);
    let mut line: Vec<(f64, Spread)> = cases
        .into_iter()
        .filter_map(|case| {
            let load = case.strip_suffix('x')?.parse().ok()?;
            Some((load, book.find(Row::Overload, case, GOODPUT, pool)?.spread()?))
        })
        .collect();
    line.sort_by(|one, other| one.0.total_cmp(&other.0));
    line
}
