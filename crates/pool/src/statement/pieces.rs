use super::token::{Token, Tokens};

/// A piece of a statement's text, as a person may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'s> {
    Text(&'s str),
    /// What is written in it as a value.
    Value,
    /// White space and comments between two others.
    Space,
}

/// Cuts a text into what may be shown of it.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let (mut tokens, mut end, mut value) = (Tokens::of(text.as_bytes()), None, false);
    std::iter::from_fn(move || {
        let token = tokens.next()?;
        let (written, apart) = tokens.written(end.unwrap_or(usize::MAX));
        end = Some(tokens.end());
        let piece = piece(token, written);
        // `1.5` is three tokens, and one value.
        let goes_on = value && !apart && (written == b"." || piece == Piece::Value);
        value = goes_on || piece == Piece::Value;
        Some(if goes_on { [None, None] } else { [apart.then_some(Piece::Space), Some(piece)] })
    })
    .flatten()
    .flatten()
}

fn piece<'s>(token: Token<'_>, written: &'s [u8]) -> Piece<'s> {
    match (token, written) {
        (Token::Body(_), _) | (Token::Other, [b'\'' | b'e' | b'E' | b'0'..=b'9', ..]) => Piece::Value,
        // Tokens begin and end at characters of ASCII, or with all of a word.
        _ => str::from_utf8(written).map_or(Piece::Value, Piece::Text),
    }
}
