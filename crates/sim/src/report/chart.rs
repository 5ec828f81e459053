//! Lines over a common axis.

use super::Picture;
use super::axis::{Axis, Scale, number};
use super::canvas::{Anchor, Canvas, colour, width_of};

/// Lines over a common axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The file's name, without its ending.
    pub file: &'static str,
    /// What it shows.
    pub title: String,
    /// The axes' names, with their units.
    pub axes: [&'static str; 2],
    /// How values lie on the first axis.
    pub scale: Scale,
    /// Each line's name and points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 45.0;
/// Lines of fewer points show where these are.
const FEW: usize = 20;

impl Chart {
    /// Draws it.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let last = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let x = Axis::over(self.scale, points().map(|(x, _)| *x)).cut(Some(last));
        let y = Axis::over(Scale::Linear, points().map(|(_, y)| *y));
        let names = self.lines.iter().map(|(name, _)| width_of(name));
        let right = names.fold(0.0, f64::max) + 46.0;
        let mut canvas = Canvas::new(WIDTH, HEIGHT, &self.title);
        let place = |across: f64, up: f64| {
            [LEFT + across * (WIDTH - LEFT - right), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)]
        };
        for tick in &y.ticks {
            let up = y.at(*tick);
            canvas.line(place(0.0, up), place(1.0, up), "#ddd");
            let [left, at] = place(0.0, up);
            canvas.text([left - 6.0, at + 4.0], Anchor::End, &number(*tick));
        }
        for tick in &x.ticks {
            let [at, low] = place(x.at(*tick), 0.0);
            canvas.line([at, low], [at, low + 4.0], "#888");
            canvas.text([at, low + 17.0], Anchor::Middle, &number(*tick));
        }
        let [name_x, name_y] = self.axes;
        canvas.text([place(0.5, 0.0)[0], HEIGHT - 8.0], Anchor::Middle, name_x);
        canvas.text([12.0, TOP - 14.0], Anchor::Start, name_y);
        let mut key = [WIDTH - right + 14.0, TOP + 6.0];
        // The first lies above the others, where they meet.
        for (index, (_, points)) in self.lines.iter().enumerate().rev() {
            let path: Vec<[f64; 2]> = points.iter().map(|(px, py)| place(x.at(*px), y.at(*py))).collect();
            canvas.path(&path, colour(index));
            if path.len() <= FEW {
                path.iter().for_each(|point| canvas.dot(*point, colour(index)));
            }
        }
        for (index, (name, _)) in self.lines.iter().enumerate() {
            canvas.key(key, colour(index), name);
            key[1] += 19.0;
        }
        Picture { file: self.file, title: self.title.clone(), svg: canvas.svg() }
    }
}
