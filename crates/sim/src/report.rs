//! What an experiment leaves behind: a page for people, numbers for machines, pictures for both.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::lab::Cell;

mod chart;

pub use chart::Chart;

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
    pub charts: Vec<Chart>,
}

impl Report {
    /// The page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Self { name, question, method, seeds, tables, charts } = self;
        let mut page = format!("# {name}: {question}\n\n{}\n\n", method.join(" "));
        page += &format!("Mean over {seeds} seeds, in brackets the lowest and the highest.\n");
        for table in tables {
            page += &format!("\n{}\n\n{}", table.caption, table.markdown());
        }
        for chart in charts {
            page += &format!("\n![{}]({}.svg)\n", chart.title, chart.file);
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
        for chart in &self.charts {
            fs::write(folder.join(&chart.file).with_extension("svg"), chart.svg())?;
        }
        Ok(())
    }
}

impl Table {
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
