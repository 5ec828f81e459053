use std::fmt;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::statement::{Piece, pieces};

/// The text of a statement, as a person may see it: on one line, at most 300 characters, without its comments, and with a `?`
/// for each value that is written in it, where `standard_conforming_strings` is on, as it is by default.
///
/// A name in it stays, so that one that is made of somebody's input is shown too.
#[derive(Clone)]
pub struct Sql(SqlStr);

impl Sql {
    /// What is kept of a text, in bytes: more than is ever shown of one with a long comment before it.
    const KEPT: usize = 4 * 1024;
    /// Characters that are shown.
    const SHOWN: usize = 300;

    /// A short text that is part of the program costs nothing; of any other a copy is made.
    pub(crate) fn of(sql: &SqlStr) -> Self {
        let text = sql.as_str();
        if text.len() <= Self::KEPT {
            return Self(sql.clone());
        }
        Self(AssertSqlSafe(&text[..text.floor_char_boundary(Self::KEPT)]).into_sql_str())
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = Self::SHOWN;
        for piece in pieces(self.0.as_str()) {
            let text = match piece {
                // It would be more than a line.
                Piece::Text(text) if text.contains(char::is_control) => "?",
                Piece::Text(text) => text,
                Piece::Value => "?",
                Piece::Space => " ",
            };
            let Some((end, _)) = text.char_indices().nth(left) else {
                left -= text.chars().count();
                f.write_str(text)?;
                continue;
            };
            f.write_str(&text[..end])?;
            return f.write_str("…");
        }
        Ok(())
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Sql::of(&AssertSqlSafe(text.to_owned()).into_sql_str()).to_string()
    }

    #[test]
    fn a_text_is_shown_on_one_line_without_its_values_and_comments() {
        for (text, wanted) in [
            ("select 1", "select ?"),
            ("  select\n\tid -- the key\nfrom t /* all */ where n = $1\n", "select id from t where n = $1"),
            ("select 'it''s', E'a\\'b', $x$secret$x$, 1.5e3 from \"My Table\"", "select ?, ?, ?, ? from \"My Table\""),
            ("update t set a='hidden' where b=12", "update t set a=? where b=?"),
            ("select 'never closed", "select ?"),
            ("select n::text, t1.a2 from t1", "select n::text, t1.a2 from t1"),
            ("select größe from maße where ß = 'ß'", "select größe from maße where ß = ?"),
            ("select 1 as \"two\nlines\"", "select ? as ?"),
            ("", ""),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let text = shown(&format!("select {}", "ü, ".repeat(3_000)));
        assert_eq!(text.chars().count(), Sql::SHOWN + 1);
        assert!(text.starts_with("select ü, ü") && text.ends_with('…'), "{text}");
        assert_eq!(shown(&format!("select '{}'", "secret ".repeat(3_000))), "select ?");
    }
}
