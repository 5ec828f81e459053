//! Throughput over the number of connections: a line for each kind of work, over its own best.

use plotters::prelude::*;

use super::PlotError;
use crate::Row;
use crate::book::{Book, Spread};
use crate::rows::capacity::ANSWERS;

const SIZE: (u32, u32) = (860, 440);
/// Okabe and Ito's.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];

pub(super) fn draw(book: &Book) -> Result<Option<String>, PlotError> {
    let lines: Vec<(&str, Vec<(f64, Spread)>)> =
        book.distinct(Row::Steady, |figure| &figure.case).into_iter().map(|case| (case, line(book, case))).collect();
    let mut ticks: Vec<f64> = lines.iter().flat_map(|(_, line)| line).map(|(size, _)| *size).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let (Some(&least), Some(&most)) = (ticks.first(), ticks.last()) else { return Ok(None) };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(650);
        let mut chart = ChartBuilder::on(&plot)
            .caption("Throughput, of the best size's", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d((least * 0.9..most * 1.1).log_scale().with_key_points(ticks), 0.0..1.2)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .x_desc("connections (logarithmic)")
            .x_label_formatter(&|size| format!("{size:.0}"))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (index, (case, line)) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let best = line.iter().map(|(_, at)| at.median).fold(f64::MIN_POSITIVE, f64::max);
            chart.draw_series(LineSeries::new(
                line.iter().map(|(size, at)| (*size, at.median / best)),
                colour.stroke_width(2),
            ))?;
            for (size, at) in line {
                chart.draw_series([PathElement::new(vec![(*size, at.min / best), (*size, at.max / best)], colour)])?;
                chart.draw_series([Circle::new((*size, at.median / best), 3, colour.filled())])?;
            }
            let y = 70 + 26 * i32::try_from(index)?;
            legend.draw(&PathElement::new(vec![(4, y), (28, y)], colour.stroke_width(2)))?;
            legend.draw(&Text::new((*case).to_owned(), (36, y - 7), ("sans-serif", 14)))?;
        }
        area.present()?;
    }
    Ok(Some(svg))
}

fn line(book: &Book, case: &str) -> Vec<(f64, Spread)> {
    let pools = book.distinct(Row::Steady, |figure| &figure.pool);
    let found = pools.into_iter().filter_map(|pool| {
        let size = pool.split(' ').next()?.parse().ok()?;
        Some((size, book.find(Row::Steady, case, ANSWERS, pool)?.spread()?))
    });
    let mut line: Vec<(f64, Spread)> = found.collect();
    line.sort_by(|one, other| one.0.total_cmp(&other.0));
    line
}
