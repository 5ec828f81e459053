use std::fmt::Write as _;

/// Lines over a common axis, as SVG.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The file's name, without its ending.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// The axes' names.
    pub axes: [&'static str; 2],
    /// Each line's name and points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 260.0;
const BOTTOM: f64 = 45.0;
/// Okabe and Ito's colours, which nearly everybody can tell apart.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31"];

impl Chart {
    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let (most_x, most_y) = self.extent();
        let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"20\" \
             font-size=\"15\">{}</text>\n",
            escaped(&self.title)
        );
        for tick in 0..=5_u32 {
            let share = f64::from(tick) / 5.0;
            let (at_x, at_y) = (x(most_x * share), y(most_y * share));
            let (low, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
            put(
                &mut svg,
                format!("<line x1=\"{LEFT}\" y1=\"{at_y:.1}\" x2=\"{right}\" y2=\"{at_y:.1}\" stroke=\"#ddd\"/>"),
            );
            put(
                &mut svg,
                format!(
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    LEFT - 6.0,
                    at_y + 4.0,
                    number(most_y * share)
                ),
            );
            put(
                &mut svg,
                format!(
                    "<text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    low + 16.0,
                    number(most_x * share)
                ),
            );
        }
        let [name_x, name_y] = self.axes;
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        put(
            &mut svg,
            format!("<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", HEIGHT - 8.0, escaped(name_x)),
        );
        put(&mut svg, format!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", 4.0, TOP - 8.0, escaped(name_y)));
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let path: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
            put(
                &mut svg,
                format!(
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>",
                    path.join(" ")
                ),
            );
            let at = TOP + 18.0 * f64::from(u32::try_from(index).unwrap_or(0));
            put(
                &mut svg,
                format!(
                    "<text x=\"{:.1}\" y=\"{at:.1}\" fill=\"{colour}\">{}</text>",
                    WIDTH - RIGHT + 12.0,
                    escaped(name)
                ),
            );
        }
        svg + "</svg>\n"
    }

    fn extent(&self) -> (f64, f64) {
        let points = self.lines.iter().flat_map(|(_, points)| points);
        let (x, y) = points.fold((0.0_f64, 0.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
        (x.max(f64::MIN_POSITIVE), y.max(f64::MIN_POSITIVE))
    }
}

fn put(svg: &mut String, line: String) {
    writeln!(svg, "{line}").expect("a string takes everything");
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
