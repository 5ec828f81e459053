/// A piece of SQL, as far as it matters for what a statement leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A keyword or a name; of a quoted name, what stands between the quotes.
    Word(&'s [u8]),
    /// What stands between dollar quotes: the body of a DO or of a function.
    Body(&'s [u8]),
    Semicolon,
    Open,
    Close,
    /// Literals, operators, parameters.
    Other,
}

/// Cuts SQL into tokens, in one pass over its bytes. Comments and white space are skipped; what is not closed ends with
/// the text. It accepts any bytes.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'s> {
    text: &'s [u8],
    at: usize,
    /// Where the last token begins.
    from: usize,
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn continues_word(byte: u8) -> bool {
    CONTINUES_WORD[byte as usize]
}

/// A look into a table: most bytes of a text are asked for.
const CONTINUES_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let char = byte.to_le_bytes()[0];
        table[byte] = starts_word(char) || char.is_ascii_digit() || char == b'$';
        byte += 1;
    }
    table
};

impl<'s> Tokens<'s> {
    pub(super) const fn of(text: &'s [u8]) -> Self {
        Self { text, at: 0, from: 0 }
    }

    /// Whether this stands before the last token, but for white space.
    pub(super) fn follows(&self, what: &[u8]) -> bool {
        self.text[..self.from].trim_ascii_end().ends_with(what)
    }

    /// The last token as it is written, and whether something was skipped between it and `end`, where the one before ended.
    pub(super) fn written(&self, end: usize) -> (&'s [u8], bool) {
        (&self.text[self.from..self.at], end < self.from)
    }

    /// Where the last token ends.
    pub(super) const fn end(&self) -> usize {
        self.at
    }

    /// Whether the last token, a word, stands in quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.text.get(self.from) == Some(&b'"')
    }

    /// Whether the next token is an opening parenthesis.
    pub(super) fn opens(&self) -> bool {
        let next = self.text[self.at..].iter().find(|byte| !is_space(**byte));
        match next {
            Some(b'(') => true,
            // It may begin a comment.
            Some(b'-' | b'/') => self.clone().next() == Some(Token::Open),
            _ => false,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Moves on while it holds; returns what was passed.
    fn pass(&mut self, holds: impl Fn(u8) -> bool) -> &'s [u8] {
        let from = self.at;
        while self.peek(0).is_some_and(&holds) {
            self.at += 1;
        }
        &self.text[from..self.at]
    }

    /// Block comments nest.
    fn pass_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                (b'/', Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// From behind the opening quote to behind the closing one; a doubled quote is one of the text.
    fn pass_quoted(&mut self, quote: u8, escapes: bool) -> &'s [u8] {
        let from = self.at;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if escapes && byte == b'\\' {
                self.at = self.text.len().min(self.at + 1);
            } else if byte == quote {
                if self.peek(0) != Some(quote) {
                    return &self.text[from..self.at - 1];
                }
                self.at += 1;
            }
        }
        &self.text[from..]
    }

    /// At a dollar sign: a parameter, or a quoted body.
    fn dollar(&mut self) -> Token<'s> {
        let rest = &self.text[self.at + 1..];
        if rest.first().is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            self.pass(|byte| byte.is_ascii_digit());
            return Token::Other;
        }
        let tag = rest.iter().position(|byte| !(starts_word(*byte) || byte.is_ascii_digit())).unwrap_or(rest.len());
        if rest.get(tag) != Some(&b'$') {
            self.at += 1;
            return Token::Other;
        }
        let fence = &self.text[self.at..self.at + tag + 2];
        self.at += fence.len();
        let body = &self.text[self.at..];
        let length = find(body, fence);
        self.at += length.map_or(body.len(), |length| length + fence.len());
        Token::Body(&body[..length.unwrap_or(body.len())])
    }

    fn word(&mut self) -> Token<'s> {
        let word = self.pass(continues_word);
        if self.peek(0) == Some(b'\'') && word.eq_ignore_ascii_case(b"e") {
            self.at += 1;
            self.pass_quoted(b'\'', true);
            return Token::Other;
        }
        Token::Word(word)
    }
}

/// Where the fence stands in the body. A fence begins with a dollar sign, and its tag has none, so that one pass is enough.
fn find(body: &[u8], fence: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += body[at..].iter().position(|byte| *byte == b'$')?;
        if body[at..].starts_with(fence) {
            return Some(at);
        }
        at += 1;
    }
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let byte = self.peek(0)?;
            if is_space(byte) {
                self.at += 1;
                continue;
            }
            self.from = self.at;
            match byte {
                _ if starts_word(byte) => return Some(self.word()),
                b'-' if self.peek(1) == Some(b'-') => {
                    self.pass(|byte| byte != b'\n' && byte != b'\r');
                }
                b'/' if self.peek(1) == Some(b'*') => self.pass_comment(),
                b'$' => return Some(self.dollar()),
                _ => {
                    self.at += 1;
                    match byte {
                        b';' => return Some(Token::Semicolon),
                        b'(' => return Some(Token::Open),
                        b')' => return Some(Token::Close),
                        b'"' => return Some(Token::Word(self.pass_quoted(b'"', false))),
                        b'\'' => {
                            self.pass_quoted(b'\'', false);
                            return Some(Token::Other);
                        }
                        b'0'..=b'9' => {
                            self.pass(continues_word);
                            return Some(Token::Other);
                        }
                        _ => return Some(Token::Other),
                    }
                }
            }
        }
    }
}

/// The words of a text of which nothing else is known: a body in any language, with strings that are executed.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !continues_word(*byte)).filter(|word| !word.is_empty())
}
