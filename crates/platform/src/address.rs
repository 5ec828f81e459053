//! Postal addresses, as whoever delivers to one needs them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::Check;

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Of whoever receives it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Street and number.
    #[schema(min_length = 1, max_length = 200)]
    pub line1: String,
    /// What else helps to find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub line2: Option<String>,
    /// Town.
    #[schema(min_length = 1, max_length = 100)]
    pub city: String,
    /// As the country writes it.
    #[schema(min_length = 1, max_length = 20)]
    pub postal_code: String,
    /// An alpha-2 code of ISO 3166-1.
    #[schema(pattern = "^[A-Z]{2}$")]
    pub country: String,
}

impl Address {
    /// Adds what is wrong with it, where it stands at `pointer` in a body.
    pub fn check(&self, check: Check, pointer: &str) -> Check {
        let Self { name, line1, line2, city, postal_code, country } = self;
        let at = |field: &str| format!("{pointer}/{field}");
        check
            .line(&at("name"), name, 100)
            .line(&at("line1"), line1, 200)
            .optional_line(&at("line2"), line2.as_deref(), 200)
            .line(&at("city"), city, 100)
            .line(&at("postal_code"), postal_code, 20)
            .country(&at("country"), country)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let address = Address {
            name: "Ada".to_owned(),
            line1: "1 Quay".to_owned(),
            line2: Some(String::new()),
            city: "Ulm".to_owned(),
            postal_code: "89073".to_owned(),
            country: "XX".to_owned(),
        };
        let faults = address.check(Check::default(), "/address").finish().unwrap_err();
        let told = format!("{faults:?}");
        assert!(faults.len() == 2 && told.contains("/address/line2") && told.contains("/address/country"), "{told}");
        let good = Address { line2: None, country: "DE".to_owned(), ..address };
        assert_eq!(good.check(Check::default(), "").finish(), Ok(()));
    }
}
