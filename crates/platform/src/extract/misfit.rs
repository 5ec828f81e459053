//! What in a request has another shape than was asked for, in words of the API.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::problem::{Code, FieldError, Problem};

/// One fault, with the way to it. The words never name a type of ours.
#[derive(Debug)]
pub(super) struct Misfit {
    kind: Kind,
    rule: String,
    /// From the fault outwards: it is found inside, and each that contains it adds its name.
    place: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Missing,
    Repeated,
    WrongType,
    Invalid,
}

impl Misfit {
    pub(super) fn invalid(rule: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, rule: rule.into(), place: Vec::new() }
    }

    pub(super) fn wrong_type(rule: impl Into<String>) -> Self {
        Self { kind: Kind::WrongType, ..Self::invalid(rule) }
    }

    pub(super) fn repeated(name: &str) -> Self {
        Self { kind: Kind::Repeated, ..Self::invalid("must be sent once") }.inside(name.to_owned())
    }

    /// The same, seen from the object or array that has it under `name`.
    pub(super) fn inside(mut self, name: String) -> Self {
        self.place.push(name);
        self
    }

    /// 422 with a pointer.
    pub(super) fn in_body(self) -> Problem {
        let code = match self.kind {
            Kind::Unknown => "unknown-field",
            Kind::Missing => "missing-field",
            Kind::Repeated => "repeated-field",
            Kind::WrongType => "wrong-type",
            Kind::Invalid => "invalid-value",
        };
        Problem::invalid(vec![FieldError::new(pointer(&self.place), code, self.rule)])
    }

    /// 400 with the name of the parameter.
    pub(super) fn in_query(self) -> Problem {
        let code = match self.kind {
            Kind::Unknown => "unknown-parameter",
            Kind::Missing => "missing-parameter",
            Kind::Repeated => "repeated-parameter",
            Kind::WrongType | Kind::Invalid => "invalid-value",
        };
        let name = self.place.into_iter().next_back().unwrap_or_default();
        let detail = format!("the parameter {name} {}", self.rule);
        Problem::new(Code::InvalidRequest).detail(detail).errors(vec![FieldError::of_parameter(name, code, self.rule)])
    }
}

/// RFC 6901. A missing field is named under the object that lacks it.
fn pointer(place: &[String]) -> String {
    let names = place.iter().rev();
    names.flat_map(|name| ["/".to_owned(), name.replace('~', "~0").replace('/', "~1")]).collect()
}

impl Error for Misfit {
    /// What a type says of its own text. Of a UUID it would be the parser's words, of groups and lengths.
    fn custom<T: fmt::Display>(said: T) -> Self {
        let said = said.to_string();
        Self::invalid(if said.starts_with("UUID parsing failed") { "must be a UUID".to_owned() } else { said })
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::wrong_type("is of another type")
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::invalid("is not possible here")
    }

    fn invalid_length(length: usize, _: &dyn Expected) -> Self {
        Self::invalid(format!("must not have {length} elements"))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::invalid(format!("must be one of {}", known.join(", ")))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let rule = format!("is not known; known are {}", known.join(", "));
        Self { kind: Kind::Unknown, ..Self::invalid(rule) }.inside(name.to_owned())
    }

    fn missing_field(name: &'static str) -> Self {
        Self { kind: Kind::Missing, ..Self::invalid("is missing") }.inside(name.to_owned())
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::repeated(name)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", pointer(&self.place), self.rule)
    }
}

impl std::error::Error for Misfit {}
