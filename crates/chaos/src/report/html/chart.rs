//! Charts over the postmortem's clock, as SVG inside a page. Colours are names that the page's style sheet gives their look, so that
//! the same chart is read on a light page, on a dark one and on paper.

use std::error::Error;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Scale, TimeAxis, face};
use crate::scenario::Window;

/// Why a chart could not be drawn.
pub(super) type ChartError = Box<dyn Error + Send + Sync>;

/// What the style sheet knows by these names: see `report.css`.
pub(super) mod ink {
    use plotters::style::RGBColor;

    /// Arms.
    pub(in super::super) const LEGACY: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
    /// Arms.
    pub(in super::super) const STOCK: RGBColor = RGBColor(0x8C, 0x6D, 0x31);
    /// Arms.
    pub(in super::super) const OURS: RGBColor = RGBColor(0x00, 0x72, 0xB2);
    /// Answers.
    pub(in super::super) const OK: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
    /// Answers.
    pub(in super::super) const SHED: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
    /// Answers.
    pub(in super::super) const FAILED: RGBColor = RGBColor(0xA1, 0x1D, 0x4E);
    /// What bounds.
    pub(in super::super) const LIMIT: RGBColor = RGBColor(0x33, 0x33, 0x33);
    /// Sessions.
    pub(in super::super) const IDLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
    /// Sessions.
    pub(in super::super) const ACTIVE: RGBColor = RGBColor(0x00, 0x9E, 0x73);
    /// The axes.
    pub(super) const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
    /// The lines of a chart's ground.
    pub(super) const MESH: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
    /// The judged stretch.
    pub(super) const BAND: RGBColor = RGBColor(0xEE, 0xEE, 0xEE);
    /// Moments with a number.
    pub(super) const MOMENT: RGBColor = RGBColor(0x55, 0x55, 0x55);
    /// What is written on them.
    pub(super) const NUMBER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
}

/// What is drawn in a panel, the first below the others.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// A line, interrupted where nothing is known.
    Line(RGBColor, Vec<(f64, Option<f64>)>),
    /// All below a line.
    Area(RGBColor, Vec<(f64, f64)>),
}

impl Layer {
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Line(_, points) => points.iter().filter_map(|(_, value)| *value).collect(),
            Self::Area(_, points) => points.iter().map(|(_, value)| *value).collect(),
        }
    }
}

/// An axis with ticks at chosen places.
struct Ticked {
    over: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.over.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.over.clone()
    }
}

/// A letter at a moment.
#[derive(Clone, Debug)]
pub(super) struct Flag {
    /// Second of play.
    pub(super) at: f64,
    /// The letter.
    pub(super) letter: &'static str,
    /// Whose it is.
    pub(super) colour: RGBColor,
    /// In which row.
    pub(super) row: u32,
}

/// One of several drawings above each other, on the same axes.
#[derive(Clone, Debug, Default)]
pub(super) struct Panel {
    /// What it is about; empty where there is one alone.
    pub(super) title: String,
    /// What is drawn.
    pub(super) layers: Vec<Layer>,
    /// Letters on top of it.
    pub(super) flags: Vec<Flag>,
}

/// Panels on common axes.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// Along.
    pub(super) time: &'a TimeAxis<'a>,
    /// Up.
    pub(super) scale: Scale,
    /// How values are written.
    pub(super) unit: fn(f64) -> String,
    /// What is judged.
    pub(super) judged: Window,
    /// From top to bottom.
    pub(super) panels: Vec<Panel>,
}

/// How it is drawn for a width of screen.
#[derive(Clone, Copy, Debug)]
struct Format {
    class: &'static str,
    width: u32,
    font: f64,
    margin: u32,
    ticks: usize,
}

/// Beside text, and on the screen of a telephone.
const FORMATS: [Format; 2] = [
    Format { class: "wide", width: 860, font: 15.0, margin: 62, ticks: 13 },
    Format { class: "narrow", width: 336, font: 14.0, margin: 52, ticks: 5 },
];
const PANEL: u32 = 168;
const TOP: u32 = 26;
/// For the panels' titles, above the numbers.
const TITLE: u32 = 20;
const BOTTOM: u32 = 24;
const RADIUS: i32 = 7;

impl Chart<'_> {
    /// The chart for every width, of which the style sheet shows one.
    ///
    /// # Errors
    /// The plotting library's.
    pub(super) fn draw(&self, says: &str) -> Result<Markup, ChartError> {
        let drawings = FORMATS.iter().map(|format| Ok((format, self.size(format), self.svg(format)?)));
        let drawings = drawings.collect::<Result<Vec<_>, ChartError>>()?;
        Ok(html! {
            @for (format, (width, height), svg) in &drawings {
                svg class=(format.class) viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(says) {
                    (PreEscaped(inside(svg)))
                }
            }
        })
    }

    fn size(&self, format: &Format) -> (u32, u32) {
        let panels = u32::try_from(self.panels.len()).unwrap_or(1);
        (format.width, panels * (PANEL + self.top()) + BOTTOM)
    }

    /// What is left free above each panel.
    fn top(&self) -> u32 {
        if self.panels.iter().all(|panel| panel.title.is_empty()) { TOP } else { TOP + TITLE }
    }

    fn svg(&self, format: &Format) -> Result<String, ChartError> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, self.size(format)).into_drawing_area();
            let values = self.panels.iter().flat_map(|panel| &panel.layers).flat_map(Layer::values);
            let up = self.scale.over(values);
            let mut rest = root.clone();
            for (number, panel) in (1..).zip(&self.panels) {
                let last = number == self.panels.len();
                let height = PANEL + self.top() + if last { BOTTOM } else { 0 };
                let (area, below) = rest.split_vertically(height);
                rest = below;
                self.panel(&area, panel, &up, format, last)?;
            }
            root.present()?;
        }
        Ok(svg)
    }

    fn panel(
        &self,
        area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        panel: &Panel,
        (least, most, ticks): &(f64, f64, Vec<f64>),
        format: &Format,
        last: bool,
    ) -> Result<(), ChartError> {
        let Window { from, to } = self.time.shown;
        let font = ("sans-serif", format.font);
        let mut chart = ChartBuilder::on(area)
            .margin_top(self.top())
            .margin_right(12)
            .set_label_area_size(LabelAreaPosition::Left, format.margin)
            .set_label_area_size(LabelAreaPosition::Bottom, if last { BOTTOM } else { 0 })
            .build_cartesian_2d(
                Ticked { over: from..to, ticks: self.time.ticks(format.ticks) },
                Ticked { over: *least..*most, ticks: ticks.clone() },
            )?;
        let judged = [(self.judged.from, *least), (self.judged.to, *most)];
        chart.draw_series([Rectangle::new(judged, ink::BAND.filled())])?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(ink::MESH)
            .axis_style(ink::AXIS)
            .x_label_formatter(&|at| face(self.time.scenario, *at))
            .y_label_formatter(&|place| (self.unit)(self.scale.value(*place)))
            .label_style(font)
            .draw()?;
        for layer in &panel.layers {
            match layer {
                Layer::Area(colour, points) => {
                    let points = points.iter().map(|(at, value)| (*at, self.scale.place(*value)));
                    chart.draw_series(AreaSeries::new(points, *least, colour))?;
                }
                Layer::Line(colour, points) => {
                    for line in self.pieces(points) {
                        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
                    }
                }
            }
        }
        let strokes = self.time.moments.iter().map(|moment| vec![(moment.at, *least), (moment.at, *most)]);
        chart.draw_series(strokes.map(|stroke| PathElement::new(stroke, ink::MOMENT)))?;
        let place = |at: f64| local(area, chart.plotting_area().map_coordinate(&(at, *most)));
        if !panel.title.is_empty() {
            let (left, top) = place(from);
            let style =
                font.into_font().style(FontStyle::Bold).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Bottom));
            area.draw(&Text::new(panel.title.clone(), (left, top - 2 * RADIUS - 4), style))?;
        }
        for moment in &self.time.moments {
            let (across, top) = place(moment.at);
            badge(area, (across, top - RADIUS - 2), &moment.number.to_string(), ink::MOMENT)?;
        }
        for flag in &panel.flags {
            let (across, top) = place(flag.at);
            let down = 12 + 17 * i32::try_from(flag.row)?;
            badge(area, (across, top + down), flag.letter, flag.colour)?;
        }
        Ok(())
    }

    /// Without the seconds of which nothing is known; a second alone is a short stroke.
    fn pieces(&self, points: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
        let known = points.split(|(_, value)| value.is_none());
        let piece = |points: &[(f64, Option<f64>)]| -> Vec<(f64, f64)> {
            points.iter().filter_map(|(at, value)| Some((*at, self.scale.place((*value)?)))).collect()
        };
        let alone = |piece: Vec<(f64, f64)>| match piece[..] {
            [(at, value)] => vec![(at, value), (at + 0.5, value)],
            _ => piece,
        };
        known.map(piece).filter(|piece| !piece.is_empty()).map(alone).collect()
    }
}

/// A point of the whole drawing as one of an area of it.
fn local(area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, (across, down): (i32, i32)) -> (i32, i32) {
    let (left, top) = area.get_base_pixel();
    (across - left, down - top)
}

/// A short text in a circle.
fn badge(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    at: (i32, i32),
    text: &str,
    colour: RGBColor,
) -> Result<(), ChartError> {
    area.draw(&Circle::new(at, RADIUS, colour.filled()))?;
    let style = ("sans-serif", 12.0).into_font().color(&ink::NUMBER).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// What an SVG holds, without its own element around it.
fn inside(svg: &str) -> &str {
    let start = svg.find("<svg").and_then(|at| Some(at + svg.get(at..)?.find('>')? + 1)).unwrap_or(0);
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.get(start..end).unwrap_or_default()
}
