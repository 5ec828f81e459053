//! Reads a TOML document and notes all that is wrong with it, each fault with its place.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Names that are this much alike are taken for a slip of the pen.
const ALIKE: f64 = 0.7;

/// One fault, with its place in the text; both count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its line.
    pub line: usize,
    /// Its column, in characters.
    pub column: usize,
    /// What is wrong, and what to do.
    pub says: String,
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    /// The file.
    pub file: String,
    /// In the order of their places.
    pub faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, faults } = self;
        for (n, Fault { line, column, says }) in faults.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(to, "{end}{file}:{line}:{column}: {says}")?;
        }
        Ok(())
    }
}

/// What is known with the place where it was read.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<(usize, String)>>);

impl Notes {
    pub(super) fn fault(&self, span: &Range<usize>, says: impl Into<String>) {
        let fault = (span.start, says.into());
        let mut all = self.0.borrow_mut();
        if !all.contains(&fault) {
            all.push(fault);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// The faults in order, or none.
    pub(super) fn end(self, file: &str, text: &str) -> Result<(), Faults> {
        let mut faults = self.0.into_inner();
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|(at, _)| *at);
        let placed = |(at, says): (usize, String)| {
            let before = text.get(..at).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Fault { line, column, says }
        };
        Err(Faults { file: file.to_owned(), faults: faults.into_iter().map(placed).collect() })
    }
}

/// A table of which every key is known.
#[derive(Debug)]
pub(super) struct Section<'d, 'i> {
    notes: &'d Notes,
    /// What messages call it.
    name: String,
    span: Range<usize>,
    table: &'d DeTable<'i>,
}

impl<'d, 'i> Section<'d, 'i> {
    /// Notes the keys that are not among `keys`.
    pub(super) fn new(
        notes: &'d Notes,
        name: impl Into<String>,
        span: Range<usize>,
        table: &'d DeTable<'i>,
        keys: &[&str],
    ) -> Self {
        let name = name.into();
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                notes.fault(&key.span(), format!("{name} has no key {}", unknown(key.get_ref(), keys)));
            }
        }
        Self { notes, name, span, table }
    }

    /// The table below this key, if it is there.
    pub(super) fn section(&self, key: &str, keys: &[&str]) -> Option<Self> {
        let value = self.table.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.notes.fault(&value.span(), format!("`{key}` must be a table, and is {}", kind(value.get_ref())));
            return None;
        };
        let name = match self.name.strip_suffix(']') {
            Some(above) => format!("{above}.{key}]"),
            None => format!("[{key}]"),
        };
        Some(Self::new(self.notes, name, value.span(), table, keys))
    }

    /// The tables of the list below this key.
    pub(super) fn list(&self, key: &str, keys: &[&str]) -> Vec<Self> {
        let Some(value) = self.table.get(key) else {
            self.missing(key);
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.notes
                .fault(&value.span(), format!("`{key}` must be a list of tables, and is {}", kind(value.get_ref())));
            return Vec::new();
        };
        if list.is_empty() {
            self.notes.fault(&value.span(), format!("`{key}` is empty, and needs at least one"));
        }
        let table = |(n, one): (usize, &'d Spanned<DeValue<'i>>)| {
            let Some(table) = one.get_ref().as_table() else {
                self.notes.fault(
                    &one.span(),
                    format!("each of `{key}` must be a table, and this is {}", kind(one.get_ref())),
                );
                return None;
            };
            Some(Self::new(self.notes, format!("number {} of `{key}`", n + 1), one.span(), table, keys))
        };
        list.iter().enumerate().filter_map(table).collect()
    }

    /// What is below this key, if it is there and can be read.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        let value = self.table.get(key)?;
        let span = value.span();
        match read(value.get_ref()) {
            Ok(value) => Some(Placed { value, span }),
            Err(says) => {
                self.notes.fault(&span, format!("`{key}` {says}"));
                None
            }
        }
    }

    /// The same where it must be there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, String>,
    ) -> Option<Placed<T>> {
        if !self.has(key) {
            self.missing(key);
        }
        self.optional(key, read)
    }

    /// Whether there is such a key, however it reads.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Its keys and values.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Placed<&'d str>, &'d Spanned<DeValue<'i>>)> {
        self.table.iter().map(|(key, value)| (Placed { value: key.get_ref().as_ref(), span: key.span() }, value))
    }

    /// Notes a fault of the whole of it.
    pub(super) fn fault(&self, says: impl fmt::Display) {
        self.notes.fault(&self.span, format!("{} {says}", self.name));
    }

    fn missing(&self, key: &str) {
        self.fault(format_args!("lacks `{key}`"));
    }
}

/// A name that is not among those that are known, with the nearest of them.
pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    let likeness = |other: &&str| strsim::jaro_winkler(name, other);
    let nearest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match nearest.filter(|nearest| likeness(nearest) >= ALIKE) {
        Some(nearest) => format!("`{name}`: did you mean `{nearest}`?"),
        None => format!("`{name}`; there are {}", known.join(", ")),
    }
}

/// A number, whole or not.
pub(super) fn number(value: &DeValue<'_>) -> Result<f64, String> {
    let digits = match value {
        DeValue::Integer(whole) if whole.radix() == 10 => whole.as_str(),
        DeValue::Float(number) => number.as_str(),
        other => return Err(format!("must be a number, and is {}", kind(other))),
    };
    let read = digits.parse::<f64>().ok().filter(|number| number.is_finite());
    read.ok_or_else(|| format!("must be a number that can be counted with, and is {digits}"))
}

/// A number between two others, both included.
pub(super) fn between(least: f64, most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, String> {
    move |value| {
        let number = number(value)?;
        let inside = (least..=most).contains(&number);
        if inside { Ok(number) } else { Err(format!("must lie between {least} and {most}, and is {number}")) }
    }
}

/// A whole number up to another.
pub(super) fn count(least: u32, most: u32) -> impl Fn(&DeValue<'_>) -> Result<u32, String> {
    move |value| {
        let wanted = || format!("must be a whole number between {least} and {most}");
        let DeValue::Integer(whole) = value else { return Err(format!("{}, and is {}", wanted(), kind(value))) };
        let read = u32::from_str_radix(whole.as_str(), whole.radix()).ok();
        read.filter(|read| (least..=most).contains(read))
            .ok_or_else(|| format!("{}, and is {}", wanted(), whole.as_str()))
    }
}

/// A line of text.
pub(super) fn line(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("must be text in quotes, and is {}", kind(value)))?;
    let plain = !text.trim().is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if plain { Ok(text.to_owned()) } else { Err("must be one line of 1 to 200 characters".to_owned()) }
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time; a clock's time needs quotes",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
