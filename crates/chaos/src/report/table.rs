//! The verdict as a table of plain text.

use crate::verdict::{Row, Verdict};

/// `held`, `FAILED`, or nothing for information.
#[must_use]
pub fn sign(held: Option<bool>) -> &'static str {
    match held {
        Some(true) => "held",
        Some(false) => "FAILED",
        None => "",
    }
}

/// The verdict's table, one line each, columns aligned.
#[must_use]
pub fn lines(verdict: &Verdict) -> Vec<String> {
    let mut head = vec!["VERDICT".to_owned()];
    head.extend(verdict.columns.iter().cloned());
    head.extend(["required".to_owned(), "result".to_owned()]);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(verdict.rows.iter().map(cells)).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    rows.iter().map(|row| padded(row, &widths)).collect()
}

/// The cells of one row, from "what" to "result".
#[must_use]
pub fn cells(row: &Row) -> Vec<String> {
    let Row { what, cells, required, held } = row;
    let mut all = vec![what.clone()];
    all.extend(cells.iter().cloned());
    all.extend([required.clone(), sign(*held).to_owned()]);
    all
}

fn padded(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
    format!(" {}", cells.join("  ").trim_end())
}
