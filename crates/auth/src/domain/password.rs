//! Which passwords are taken, and in which form they are compared.

use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};
use secrecy::{ExposeSecret, SecretString};
use zxcvbn::{Score, zxcvbn};

/// In characters, in the form that is compared.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// What users of this shop think of first.
const NAMES_OF_THE_SHOP: [&str; 3] = ["forebay", "shop", "forebayshop"];

const COMPOSED: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfc();

/// The form that is hashed: NFC with plain spaces, so that a password is the same on every keyboard (the profile
/// `OpaqueString` of RFC 8265, which keeps case and everything else).
pub(crate) fn prepared(password: &SecretString) -> SecretString {
    let spaced: String = password.expose_secret().chars().map(|char| if is_space(char) { ' ' } else { char }).collect();
    COMPOSED.normalize(&spaced).into_owned().into()
}

/// The spaces of Unicode (category Zs).
fn is_space(char: char) -> bool {
    matches!(char, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

pub(super) const LENGTH_RULE: &str = "must have 8 to 128 characters";

/// Whether a new password may be as long as this one.
pub(super) fn has_length(password: &SecretString) -> bool {
    LENGTH.contains(&length(&prepared(password)))
}

/// No account has such a password where this is false, and hashing a long one is work for nothing.
pub(crate) fn is_possible(password: &SecretString) -> bool {
    length(password) <= *LENGTH.end() || length(&prepared(password)) <= *LENGTH.end()
}

fn length(password: &SecretString) -> usize {
    password.expose_secret().chars().count()
}

/// Whether fewer than a million guesses would find it: it is common (the 30,000 of zxcvbn's list, whatever their case, and
/// what is made of them by digits and signs), a repetition, a row of keys or numbers, or made of `about`, words about its
/// owner, or of the shop's name. Takes some milliseconds of a core.
pub(crate) fn is_guessable(password: &str, about: &[String]) -> bool {
    let folded = password.to_lowercase();
    let words = about.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>();
    let known: Vec<_> = words.iter().map(String::as_str).chain(NAMES_OF_THE_SHOP).collect();
    known.iter().any(|word| *word == folded) || zxcvbn(password, &known).score() < Score::Two
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessable(password: &str) -> bool {
        let about = ["ada.lovelace@shop.example", "ada.lovelace", "Ada Lovelace"].map(str::to_owned);
        is_guessable(password, &about)
    }

    #[test]
    fn what_is_common_or_about_its_owner_is_guessable() {
        for bad in [
            "password",
            "PassWord",
            "password1",
            "P@ssw0rd",
            "12345678",
            "qwertyuiop",
            "aaaaaaaa",
            "        ",
            "abcdefgh",
            "iloveyou",
            "sunshine1",
            "ada.lovelace@shop.example",
            "Ada.Lovelace@Shop.Example",
            "ada.lovelace",
            "Ada Lovelace",
            "forebayshop",
            "Forebay1",
        ] {
            assert!(guessable(bad), "{bad}");
        }
        let long = format!("{}@shop.example", "x1y2z3w4".repeat(12));
        assert!(is_guessable(&long, std::slice::from_ref(&long)), "beyond what zxcvbn looks at");
    }

    #[test]
    fn what_nobody_guesses_is_taken() {
        for good in [
            "correct-horse-battery",
            "another-password",
            "a quiet kettle sings",
            "xk4-Lum!q",
            "\u{20ac}\u{e9}\u{df}-Ofen-72",
        ] {
            assert!(!guessable(good), "{good}");
        }
    }

    #[test]
    fn one_password_has_one_form_however_it_is_typed() {
        let form = |text: &str| prepared(&text.to_owned().into()).expose_secret().to_owned();
        assert_eq!(form("e\u{301}t\u{e9} 2024"), form("\u{e9}te\u{301}\u{a0}2024"));
        assert_ne!(form("Secret-password"), form("secret-password"));
        assert_ne!(form("\u{ff41}bcdefgh"), form("abcdefgh"), "only what looks the same");
    }

    #[test]
    fn length_is_counted_in_the_form_that_is_hashed() {
        let fits = |text: String| has_length(&text.into());
        assert!(!fits("e\u{301}".repeat(4)) && fits("e\u{301}".repeat(8)) && fits("e\u{301}".repeat(128)));
        assert!(!fits("x".repeat(129)) && !is_possible(&"x".repeat(129).into()));
    }
}
