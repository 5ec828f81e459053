//! Bars of numbers over seeds: the mean, and a whisker from the lowest to the highest.

use super::axis::{Axis, Scale, number};
use super::canvas::{Anchor, Canvas, colour, width_of};
use super::{Column, Picture};

/// Bars of one or more columns of tables, side by side for each row.
#[derive(Clone, Debug)]
pub struct Bars {
    file: &'static str,
    title: String,
    unit: &'static str,
    scale: Scale,
    most: Option<f64>,
    series: Vec<(String, Vec<Bar>)>,
    /// All rows' names, in the order of the first column.
    rows: Vec<String>,
}

/// One number over seeds.
#[derive(Clone, Debug)]
struct Bar {
    row: String,
    /// What was found of it: the mean, the lowest, the highest; nothing where it never happened.
    found: Option<[f64; 3]>,
}

impl Bar {
    fn of((row, values): (String, Vec<f64>)) -> Self {
        let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let (low, high) = finite.iter().fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(*one), high.max(*one)));
        let seeds = f64::from(u32::try_from(finite.len()).unwrap_or(u32::MAX));
        let found = (!finite.is_empty()).then(|| [finite.iter().sum::<f64>() / seeds, low, high]);
        Self { row, found }
    }
}

const WIDTH: f64 = 900.0;
const BOTTOM: f64 = 46.0;
const GAP: f64 = 8.0;

impl Bars {
    /// None yet; this is what they measure, and in what.
    #[must_use]
    pub fn new(file: &'static str, title: impl Into<String>, unit: &'static str) -> Self {
        let (series, rows) = (Vec::new(), Vec::new());
        Self { file, title: title.into(), unit, scale: Scale::Linear, most: None, series, rows }
    }

    /// On a logarithmic axis.
    #[must_use]
    pub fn log(self) -> Self {
        Self { scale: Scale::Log, ..self }
    }

    /// What is longer is cut off here; its number still says what it is.
    #[must_use]
    pub fn up_to(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// One more bar for each row of a column.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, column: Column) -> Self {
        for (row, _) in &column {
            if !self.rows.contains(row) {
                self.rows.push(row.clone());
            }
        }
        self.series.push((name.into(), column.into_iter().map(Bar::of).collect()));
        self
    }

    /// Also on a logarithmic axis the shortest bar can be seen.
    fn axis(&self) -> Axis {
        let all = self.series.iter().flat_map(|(_, bars)| bars).filter_map(|bar| bar.found).flatten();
        let room = if self.scale == Scale::Log { 0.5 } else { 1.0 };
        Axis::over(self.scale, all.flat_map(|value| [value, room * value])).cut(self.most)
    }

    /// Draws them.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let axis = self.axis();
        let several = self.series.len() > 1;
        let thick = if several { 11.0 } else { 15.0 };
        let top = if several { 64.0 } else { 40.0 };
        let group = thick * f64::from(u32::try_from(self.series.len()).unwrap_or(1)) + GAP;
        let low = top + group * f64::from(u32::try_from(self.rows.len()).unwrap_or(1));
        let left = self.rows.iter().map(|row| width_of(row)).fold(0.0, f64::max) + 24.0;
        let right = if self.most.is_some() { 110.0 } else { 70.0 };
        let x = |share: f64| left + share * (WIDTH - left - right);
        let mut canvas = Canvas::new(WIDTH, low + BOTTOM, &self.title);
        for tick in &axis.ticks {
            let at = x(axis.at(*tick));
            canvas.line([at, top - 4.0], [at, low + 4.0], "#ddd");
            canvas.text([at, low + 18.0], Anchor::Middle, &number(*tick));
        }
        canvas.text([x(0.5), low + BOTTOM - 10.0], Anchor::Middle, self.unit);
        let mut y = top;
        for row in &self.rows {
            canvas.text([left - 10.0, y + (group - GAP) / 2.0 + 4.0], Anchor::End, row);
            for (index, (_, bars)) in self.series.iter().enumerate() {
                if let Some(bar) = bars.iter().find(|bar| bar.row == *row) {
                    bar.draw(&mut canvas, &axis, x, [y, thick - 1.0], colour(index));
                }
                y += thick;
            }
            y += GAP;
        }
        let mut key = left;
        for (index, (name, _)) in self.series.iter().enumerate().filter(|_| several) {
            canvas.key([key, 46.0], colour(index), name);
            key += width_of(name) + 34.0;
        }
        Picture { file: self.file, title: self.title.clone(), svg: canvas.svg() }
    }
}

impl Bar {
    fn draw(&self, canvas: &mut Canvas, axis: &Axis, x: impl Fn(f64) -> f64, [top, thick]: [f64; 2], fill: &str) {
        let (origin, middle) = (x(axis.origin()), top + thick / 2.0);
        let Some([mean, low, high]) = self.found else {
            return canvas.text([origin + 6.0, middle + 4.0], Anchor::Start, "never");
        };
        let end = x(axis.at(mean));
        canvas.rect([origin.min(end), top], [(end - origin).abs().max(1.0), thick], fill);
        let whisker = [x(axis.at(low)), x(axis.at(high))];
        if low < high && whisker[0] < whisker[1] {
            canvas.line([whisker[0], middle], [whisker[1], middle], "#555");
            whisker.into_iter().for_each(|end| canvas.line([end, middle - 3.0], [end, middle + 3.0], "#555"));
        }
        let beyond = if axis.ends_before(mean) { " (cut off)" } else { "" };
        let text = format!("{}{beyond}", short(mean));
        canvas.text([end.max(whisker[1]).max(origin) + 6.0, middle + 4.0], Anchor::Start, &text);
    }
}

/// Three figures are enough.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[(&str, &[f64])]) -> Column {
        values.iter().map(|(row, values)| ((*row).to_owned(), values.to_vec())).collect()
    }

    #[test]
    fn a_bar_says_the_mean_what_was_cut_off_and_what_never_happened() {
        let values: Column = column(&[("a", &[1.0, 2.0]), ("b", &[400.0]), ("c < d", &[f64::INFINITY])]);
        let picture = Bars::new("x", "A & B", "ms").up_to(100.0).with("", values).picture();
        for text in [">1.50<", ">400 (cut off)<", ">never<", ">c &lt; d<", ">A &amp; B<", ">ms<"] {
            assert!(picture.svg.contains(text), "{text} in {}", picture.svg);
        }
    }

    #[test]
    fn rows_are_those_of_all_columns() {
        let bars = Bars::new("x", "", "").with("one", column(&[("a", &[1.0])])).with("two", column(&[("b", &[2.0])]));
        assert_eq!(bars.rows, ["a", "b"]);
        assert!(bars.picture().svg.contains(">two<"));
    }
}
