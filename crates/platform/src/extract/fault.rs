//! From a parse error to the field it is about.

use serde_path_to_error::{Path, Segment};

use crate::problem::{Code, FieldError, Problem};

/// Not JSON at all is 400; JSON of another shape is 422 with a pointer.
pub(super) fn of(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if !inner.is_data() {
        return malformed(inner);
    }
    let text = without_position(&inner.to_string());
    let (code, field) = kind(&text);
    let pointer = pointer(error.path(), field);
    Problem::invalid(vec![FieldError::new(pointer, code, text)])
}

pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    let place = format!("the body is not JSON: line {}, column {}", error.line(), error.column());
    Problem::new(Code::InvalidRequest).detail(place)
}

/// serde has no typed errors, but its constructors fix the first words of each kind.
fn kind(text: &str) -> (&'static str, Option<&str>) {
    let quoted = || text.split('`').nth(1);
    if text.starts_with("unknown field") {
        ("unknown-field", None)
    } else if text.starts_with("missing field") {
        ("missing-field", quoted())
    } else if text.starts_with("invalid type") {
        ("wrong-type", None)
    } else {
        ("invalid-value", None)
    }
}

/// RFC 6901. A missing field is named under the object that lacks it.
fn pointer(path: &Path, missing: Option<&str>) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    if let Some(field) = missing {
        push(&mut pointer, field);
    }
    pointer
}

fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

fn without_position(text: &str) -> String {
    text.rfind(" at line ").map_or(text, |end| &text[..end]).to_owned()
}
