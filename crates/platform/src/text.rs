//! Rules for what people write: names, lines of an address, countries. One place, so that all services mean the same.

use crate::problem::FieldError;

/// Collects what breaks a rule, so that all of it is answered at once.
///
/// ```
/// use forebay_platform::text::Check;
///
/// let faults = Check::default().line("/name", "Ada", 100).country("/country", "XX").finish().unwrap_err();
/// assert_eq!(faults[0].detail, "must be an ISO 3166-1 country code of two capital letters, such as DE");
/// ```
#[derive(Debug, Default)]
#[must_use = "faults are only known to `finish`"]
pub struct Check(Vec<FieldError>);

impl Check {
    /// One line of text at `pointer`: 1 to `most` characters, of them at least one a letter or a digit, none a control
    /// character, a line break or one that turns the direction of text.
    pub fn line(self, pointer: &str, text: &str, most: usize) -> Self {
        match fault_of_line(text, most) {
            None => self,
            Some(rule) => self.rule(false, pointer, rule),
        }
    }

    /// The same where the line may be missing.
    pub fn optional_line(self, pointer: &str, text: Option<&str>, most: usize) -> Self {
        match text {
            None => self,
            Some(text) => self.line(pointer, text, most),
        }
    }

    /// An officially assigned alpha-2 code of ISO 3166-1, in capitals.
    pub fn country(self, pointer: &str, code: &str) -> Self {
        let rule = "must be an ISO 3166-1 country code of two capital letters, such as DE";
        self.rule(is_country(code), pointer, rule)
    }

    /// Any other rule, in words that follow the field's name.
    pub fn rule(mut self, holds: bool, pointer: &str, rule: impl Into<String>) -> Self {
        if !holds {
            self.0.push(FieldError::new(pointer, "invalid-value", rule));
        }
        self
    }

    /// Whether every rule was kept.
    ///
    /// # Errors
    ///
    /// All that were not, in the order of asking.
    pub fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

fn fault_of_line(text: &str, most: usize) -> Option<String> {
    if !(1..=most).contains(&text.chars().count()) {
        Some(format!("must have 1 to {most} characters"))
    } else if text.chars().any(disturbs) {
        Some("must not contain control characters, line breaks or marks that turn the direction of text".to_owned())
    } else if !text.chars().any(char::is_alphanumeric) {
        Some("must contain a letter or a digit".to_owned())
    } else {
        None
    }
}

/// Changes what a reader sees around it: on a terminal, a label, a list. Joiners stay: scripts need them.
fn disturbs(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn is_country(code: &str) -> bool {
    COUNTRIES.split_ascii_whitespace().any(|country| country == code)
}

/// The codes of ISO 3166-1 that an address may have, between spaces: all 249 that are assigned.
pub const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD \
    CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF \
    GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
    KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI \
    SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI \
    VN VU WF WS YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Place;

    #[test]
    fn a_line_is_what_a_label_can_show() {
        for good in ["A", "Zoë O’Neill-Łukasiewicz", "山田 太郎", "5", "नीरज क्\u{200D}ष", "x".repeat(100).as_str()]
        {
            assert_eq!(fault_of_line(good, 100), None, "{good}");
        }
        let too_long = "x".repeat(101);
        for bad in [
            "",
            " ",
            "\u{a0}\u{2003}",
            "\u{200B}",
            "---",
            "a\n\u{1b}[31m",
            "a\0",
            "a\tb",
            "a\u{85}b",
            "a\u{2028}b",
            &too_long,
        ] {
            assert!(fault_of_line(bad, 100).is_some(), "{bad:?}");
        }
        assert!(fault_of_line("a\u{202E}b", 100).is_some(), "what follows would be read backwards");
    }

    #[test]
    fn a_country_is_one_that_is_assigned() {
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 249);
        assert!(COUNTRIES.split_ascii_whitespace().is_sorted());
        assert!(["DE", "AQ", "TW"].into_iter().all(is_country));
        assert!(!["XX", "de", "DEU", "D", "", "DE ", "UK", "DE AT"].into_iter().any(is_country));
    }

    #[test]
    fn all_faults_are_told_in_order() {
        let check = Check::default().line("/name", " ", 10).optional_line("/line2", None, 10).rule(true, "/a", "holds");
        let faults = check.country("/country", "XX").finish().unwrap_err();
        let places: Vec<_> = faults.into_iter().map(|fault| fault.place).collect();
        assert_eq!(places, ["/name", "/country"].map(|pointer| Place::Pointer(pointer.to_owned())));
        assert_eq!(Check::default().finish(), Ok(()));
    }
}
