//! What all pictures are drawn with.

use std::fmt::Write as _;

/// Okabe and Ito's colours, which nearly everybody can tell apart.
pub(super) const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31"];

/// The colour of the so-manieth line or bar.
pub(super) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// Where a text ends up of its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG that is being drawn.
#[derive(Debug)]
pub(super) struct Canvas(String);

impl Canvas {
    /// White, with a title.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut canvas = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        ));
        canvas.put(&format!("<text x=\"12\" y=\"22\" font-size=\"15\">{}</text>", escaped(title)));
        canvas
    }

    pub(super) fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], stroke: &str) {
        self.put(&format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>"));
    }

    pub(super) fn path(&mut self, points: &[[f64; 2]], stroke: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.put(&format!("<polyline fill=\"none\" stroke=\"{stroke}\" stroke-width=\"1.6\" points=\"{points}\"/>"));
    }

    pub(super) fn dot(&mut self, [x, y]: [f64; 2], fill: &str) {
        self.put(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{fill}\"/>"));
    }

    pub(super) fn rect(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: &str) {
        self.put(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
        ));
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text)));
    }

    /// A coloured square and what it stands for.
    pub(super) fn key(&mut self, [x, y]: [f64; 2], fill: &str, text: &str) {
        self.rect([x, y - 9.0], [10.0, 10.0], fill);
        self.text([x + 16.0, y], Anchor::Start, text);
    }

    pub(super) fn svg(self) -> String {
        self.0 + "</svg>\n"
    }

    fn put(&mut self, element: &str) {
        writeln!(self.0, "{element}").expect("a string takes everything");
    }
}

/// About how wide a text is.
pub(super) fn width_of(text: &str) -> f64 {
    6.7 * f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
