//! Tables whose cells are coloured by what they say.

use super::Picture;
use super::canvas::{Anchor, Canvas, width_of};

/// A table's name and its cells, row by row: a text and the number of its kind.
pub type Panel = (String, Vec<Vec<(String, usize)>>);

/// Panels side by side, two in a row, each a table with coloured cells.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The file's name, without its ending.
    pub file: &'static str,
    /// What it shows.
    pub title: String,
    /// What columns and rows are, with their units.
    pub axes: [&'static str; 2],
    /// The columns' heads.
    pub columns: Vec<String>,
    /// The rows' heads.
    pub rows: Vec<String>,
    /// What the colours mean.
    pub kinds: Vec<&'static str>,
    /// The tables.
    pub panels: Vec<Panel>,
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 34.0;
const CELL: [f64; 2] = [50.0, 30.0];
/// From good to bad.
const SHADES: [&str; 4] = ["#7fd0b5", "#f0e442", "#f2b63d", "#e88a55"];
const TOP: f64 = 62.0;

impl Grid {
    /// Draws it.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(1));
        let tall = CELL[1] * count(self.rows.len()) + 76.0;
        let height = TOP + tall * count(self.panels.len().div_ceil(2));
        let mut canvas = Canvas::new(WIDTH, height, &self.title);
        let mut key = 12.0;
        for (kind, shade) in self.kinds.iter().zip(SHADES) {
            canvas.key([key, 46.0], shade, kind);
            key += width_of(kind) + 34.0;
        }
        for (index, (name, cells)) in self.panels.iter().enumerate() {
            let corner = [LEFT + count(index % 2) * WIDTH / 2.0, TOP + count(index / 2) * tall];
            self.panel(&mut canvas, corner, name, cells);
        }
        Picture { file: self.file, title: self.title.clone(), svg: canvas.svg() }
    }

    fn panel(&self, canvas: &mut Canvas, [left, top]: [f64; 2], name: &str, cells: &[Vec<(String, usize)>]) {
        let [wide, tall] = CELL;
        canvas.text([left, top + 14.0], Anchor::Start, name);
        let [mut y, middle] = [top + 22.0, tall / 2.0 + 4.0];
        for (head, row) in self.rows.iter().zip(cells) {
            canvas.text([left - 8.0, y + middle], Anchor::End, head);
            let mut x = left;
            for (text, kind) in row {
                canvas.rect([x, y], [wide - 1.0, tall - 1.0], SHADES[kind % SHADES.len()]);
                canvas.text([x + wide / 2.0, y + middle], Anchor::Middle, text);
                x += wide;
            }
            y += tall;
        }
        let mut x = left + wide / 2.0;
        for head in &self.columns {
            canvas.text([x, y + 14.0], Anchor::Middle, head);
            x += wide;
        }
        let [across, down] = self.axes;
        canvas.text([left, y + 32.0], Anchor::Start, &format!("across: {across}; down: {down}"));
    }
}
