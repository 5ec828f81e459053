//! What an experiment leaves behind: a page for people, numbers for machines, pictures for both.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::lab::Cell;

mod axis;
mod bars;
mod canvas;
mod chart;
mod grid;

pub use axis::Scale;
pub use bars::Bars;
pub use chart::Chart;
pub use grid::{Grid, Panel};

/// A column of a table: for each row its name, and its number for each seed.
pub type Column = Vec<(String, Vec<f64>)>;

/// A drawing.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file's name, without its ending.
    pub file: &'static str,
    /// What it shows.
    pub title: String,
    /// As SVG.
    pub svg: String,
}

/// A table; the first column is the row's name.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The heads of its columns, the first one included.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// One experiment's results.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its short name, which is also that of its files.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// What is done, in sentences.
    pub method: Vec<String>,
    /// How many seeds each number is over.
    pub seeds: u64,
    /// What was found.
    pub tables: Vec<Table>,
    /// The same, drawn.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

impl Report {
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { name, question, method, seeds, tables, pictures } = self;
        let mut page = format!("# {name}: {question}\n\n{}\n\n", method.join(" "));
        page += &format!("Mean over {seeds} seeds, in brackets the lowest and the highest.\n");
        for table in tables {
            page += &format!("\n{}\n\n{}", table.caption, table.markdown());
        }
        for Picture { file, title, .. } in pictures {
            page += &format!("\n![{title}]({file}.svg)\n");
        }
        page
    }

    /// Writes `NAME.md`, `NAME.json` and the pictures into a folder, which is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be made, or a file not be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(self.name).with_extension("md"), self.markdown())?;
        fs::write(folder.join(self.name).with_extension("json"), serde_json::to_vec_pretty(self)?)?;
        for picture in &self.pictures {
            fs::write(folder.join(picture.file).with_extension("svg"), &picture.svg)?;
        }
        Ok(())
    }
}

impl Table {
    /// The column with this head, without cells that are only words; empty where there is none.
    #[must_use]
    pub fn column(&self, head: &str) -> Column {
        let Some(at) = self.columns.iter().skip(1).position(|column| column == head) else { return Vec::new() };
        let values = self.rows.iter().filter_map(|(name, cells)| Some((name.clone(), cells.get(at)?.values.clone())));
        values.filter(|(_, values)| !values.is_empty()).collect()
    }

    /// The same of the rows whose names begin with this, without it.
    #[must_use]
    pub fn column_under(&self, prefix: &str, head: &str) -> Column {
        let rest = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        self.column(head).into_iter().filter_map(|(name, values)| Some((rest(&name)?, values))).collect()
    }

    fn markdown(&self) -> String {
        let mut lines = vec![row(&self.columns), format!("|{}", "---|".repeat(self.columns.len()))];
        for (name, cells) in &self.rows {
            let mut all = vec![name.clone()];
            all.extend(cells.iter().map(|cell| cell.text.clone()));
            lines.push(row(&all));
        }
        lines.join("\n") + "\n"
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_head_and_by_the_beginning_of_its_rows() {
        let row = |name: &str, value: f64| (name.to_owned(), vec![Cell::text("words"), Cell::of(vec![value], 0)]);
        let table = Table {
            caption: String::new(),
            columns: ["", "one", "two"].map(str::to_owned).into(),
            rows: vec![row("x, a", 1.0), row("y, a", 2.0)],
        };
        assert_eq!(table.column("two"), [("x, a".to_owned(), vec![1.0]), ("y, a".to_owned(), vec![2.0])]);
        assert_eq!(table.column_under("y, ", "two"), [("a".to_owned(), vec![2.0])]);
        assert!(table.column("one").is_empty() && table.column("three").is_empty());
    }
}
