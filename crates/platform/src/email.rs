//! E-mail addresses, and when two are the same.

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

const MALFORMED: &str = "must be an email address of at most 254 characters";
const LOOKS_LIKE: &str = "must not hold characters that stand for plain letters, digits or signs, nor invisible ones";

/// In characters; of the form that is compared too.
const LONGEST: usize = 254;

const CASES: CaseMapperBorrowed<'static> = CaseMapper::new();
const COMPATIBLE: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfkc();

/// An address as it was typed, and the form by which it is compared, which the database keeps beside it and never makes
/// itself: the local part in NFKC with its case folded, the domain as UTS 46 reads it.
#[derive(Debug)]
pub struct EmailAddress {
    typed: String,
    key: String,
}

impl EmailAddress {
    /// Any address whose form to be compared is certain. What looks plain and is not is refused: a mail to what was typed
    /// might reach somebody else than the one whose account it opens.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(typed: &str) -> Result<Self, &'static str> {
        if !is_plausible(typed) {
            return Err(MALFORMED);
        }
        if typed.chars().any(|char| is_invisible(char) || stands_for_ascii(char)) {
            return Err(LOOKS_LIKE);
        }
        let key = key(typed).filter(|key| key.chars().count() <= LONGEST).ok_or(MALFORMED)?;
        Ok(Self { typed: typed.to_owned(), key })
    }

    /// As it was typed: where mail goes.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The form by which it is compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same.
    #[must_use]
    pub fn into_key(self) -> String {
        self.key
    }
}

/// One `@`, something before it, a dot-separated name after it. Only a message that arrives proves more.
fn is_plausible(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else { return false };
    let labels = || domain.split('.');
    let clean = !email.chars().any(|char| char.is_whitespace() || char.is_control());
    let sized = email.chars().count() <= LONGEST && !local.is_empty();
    clean && sized && !domain.contains('@') && labels().count() >= 2 && labels().all(|label| !label.is_empty())
}

/// None where the domain is none, or where the form of the form would be another one.
fn key(email: &str) -> Option<String> {
    let once = form(email)?;
    (form(&once)? == once).then_some(once)
}

fn form(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    let (domain, valid) = idna::domain_to_unicode(domain);
    valid.ok()?;
    Some(format!("{}@{domain}", folded(local)))
}

fn folded(text: &str) -> String {
    let folded: String = COMPATIBLE.normalize(text).chars().map(|char| CASES.simple_fold(char)).collect();
    COMPATIBLE.normalize(&folded).into_owned()
}

/// Such as the Kelvin sign, which folds to `k`, or a full-width `@`.
fn stands_for_ascii(char: char) -> bool {
    !char.is_ascii() && folded(char.encode_utf8(&mut [0; 4])).chars().any(|char| char.is_ascii())
}

/// Characters that show nothing, or change the order in which others show.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_of(typed: &str) -> String {
        EmailAddress::parse(typed).unwrap().key
    }

    #[test]
    fn an_address_needs_two_sides_and_a_dot() {
        assert_eq!(key_of("a.b+c@shop.example"), "a.b+c@shop.example");
        for wrong in
            ["", "a", "@shop.example", "a@shop", "a@@shop.example", "a b@shop.example", "a@shop..example", "a@b.c\n"]
        {
            assert_eq!(EmailAddress::parse(wrong).unwrap_err(), MALFORMED, "{wrong:?}");
        }
    }

    #[test]
    fn what_looks_alike_is_alike() {
        for (one, other) in [
            ("Ada@Shop.Example", "ada@shop.example"),
            // Composed, and of two characters.
            ("ren\u{e9}@shop.example", "rene\u{301}@shop.example"),
            ("REN\u{c9}@shop.example", "ren\u{e9}@shop.example"),
            // The last letter of a Greek word, and the same one within.
            ("\u{3bf}\u{3b4}\u{3bf}\u{3c2}@shop.example", "\u{39f}\u{394}\u{39f}\u{3a3}@shop.example"),
            ("ada@b\u{fc}cher.example", "ada@xn--bcher-kva.example"),
            ("ada@B\u{dc}CHER.example", "ada@b\u{fc}cher.example"),
        ] {
            assert_eq!(key_of(one), key_of(other), "{one} {other}");
        }
        assert_ne!(key_of("stra\u{df}e@shop.example"), key_of("strasse@shop.example"));
    }

    #[test]
    fn what_only_looks_plain_is_refused() {
        for wrong in [
            "\u{212a}1@shop.example",
            "a\u{17f}k@shop.example",
            "\u{ff41}da@shop.example",
            "ada@shop.example\u{ff0e}com",
            "ada\u{ff20}shop.example",
            "\u{fb01}ne@shop.example",
            "a\u{200b}da@shop.example",
            "\u{202e}ada@shop.example",
            "ada@\u{212a}.example",
        ] {
            assert!(EmailAddress::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_form_is_longer_than_an_address() {
        let swollen = format!("{}@shop.example", "\u{fdfa}".repeat(100));
        assert!(EmailAddress::parse(&swollen).is_err());
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_the_form(local in "\\PC{1,20}", domain in "[a-zA-Z\u{e4}\u{f6}\u{df}]{1,9}") {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@{domain}.example")) {
                let again = EmailAddress::parse(&address.key);
                prop_assert_eq!(again.map(|again| again.key), Ok(address.key));
            }
        }

        #[test]
        fn case_makes_no_difference(local in "[a-z\u{e0}-\u{f6}\u{3b1}-\u{3c9}\u{430}-\u{44f}]{1,20}") {
            let (lower, upper) = (format!("{local}@shop.example"), format!("{}@shop.example", local.to_uppercase()));
            prop_assert_eq!(key_of(&lower), key_of(&upper));
        }
    }
}
