use super::token::{Token, Tokens, words};

/// What a connection keeps when the statement and its transaction are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trace {
    /// Nothing: the next user may have it as it is.
    #[default]
    None,
    /// A setting, a role, a lock, a temporary table, a subscription: DISCARD ALL takes it away.
    Session,
    /// Anything, also a transaction: somebody had the connection raw.
    Unknown,
}

/// What the text of a statement, or of several, does to its connection. It errs on the side of a reset too many; what a
/// function does inside is not in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) trace: Trace,
    /// A transaction may be open from the moment it leaves.
    pub(crate) opens: bool,
    /// None is open any more once all of it has succeeded.
    pub(crate) ends: bool,
}

/// What the first word of a statement says, as far as the words behind it have to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Plain,
    Insert,
    Create,
    Declare,
    Set,
    Start,
    Begin,
    /// COMMIT, END, ROLLBACK or ABORT.
    End,
    Prepare,
    Lasting,
}

impl Verb {
    fn of(word: &[u8]) -> Self {
        let verbs: &[(Self, &[&[u8]])] = match word.len() {
            2 => &[(Self::Plain, &[b"do"])],
            3 => &[(Self::Set, &[b"set"]), (Self::End, &[b"end"])],
            4 => &[(Self::Plain, &[b"with", b"copy", b"drop", b"lock", b"call", b"show", b"move"])],
            5 => &[(Self::Begin, &[b"begin"]), (Self::End, &[b"abort"]), (Self::Start, &[b"start"])],
            6 => &[
                (Self::Plain, &[b"select", b"update", b"delete", b"values"]),
                (Self::Insert, &[b"insert"]),
                (Self::End, &[b"commit"]),
                (Self::Create, &[b"create"]),
            ],
            7 => &[(Self::Prepare, &[b"prepare"]), (Self::Declare, &[b"declare"])],
            8 => &[(Self::End, &[b"rollback"])],
            _ => &[],
        };
        let holds = |words: &[&[u8]]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        let known = verbs.iter().find(|(_, words)| holds(words)).map(|(verb, _)| *verb);
        known.unwrap_or_else(|| if holds(PLAIN) { Self::Plain } else { Self::Lasting })
    }
}

/// Commands that leave nothing behind in the session. What is in no list here leaves something: LISTEN, LOAD, DISCARD and
/// DEALLOCATE do (the last two take away what sqlx believes to be prepared), and an unknown one may.
const PLAIN: &[&[u8]] = &[
    b"table",
    b"merge",
    b"explain",
    b"fetch",
    b"close",
    b"savepoint",
    b"release",
    b"execute",
    b"truncate",
    b"alter",
    b"analyze",
    b"analyse",
    b"vacuum",
    b"notify",
    b"unlisten",
    b"reset",
    b"grant",
    b"revoke",
    b"comment",
    b"refresh",
    b"reindex",
    b"cluster",
    b"checkpoint",
    b"import",
    b"reassign",
    b"security",
];

/// Reads statement after statement of one text.
#[derive(Debug, Default)]
struct Reader<'s> {
    effect: Effect,
    verb: Option<Verb>,
    /// Words of this statement so far.
    count: usize,
    previous: &'s [u8],
    /// For the end of a transaction: TO, PREPARED or CHAIN, which make it something else.
    to: bool,
    chain: bool,
    /// Whether a transaction is open behind what was read so far, where the text says so.
    open: Option<bool>,
    /// The body of a function in plain SQL: its words are no statements of this text.
    atomic: bool,
}

fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}

fn is_temporary(word: &[u8]) -> bool {
    is(word, "temp") || is(word, "temporary")
}

/// A function whose effect outlives the transaction. `set_config` is looked at by its caller.
fn is_lasting_name(word: &[u8]) -> bool {
    const PREFIX: &[u8] = b"pg_";
    if word.len() < 7 || !word[..3].eq_ignore_ascii_case(PREFIX) {
        return false;
    }
    let lock = is(word, "pg_advisory_lock")
        || is(word, "pg_advisory_lock_shared")
        || is(word, "pg_try_advisory_lock")
        || is(word, "pg_try_advisory_lock_shared");
    lock || word[..7].eq_ignore_ascii_case(b"pg_temp")
}

/// Whether a call of `set_config`, read from behind its name, is for this transaction only: its last argument is `true`.
fn is_local_setting(tokens: Tokens<'_>) -> bool {
    // Looked at no further than a call of it is long, or a text full of its name would take for ever.
    const LONGEST_CALL: usize = 64;
    let mut depth = 0_usize;
    let mut last: &[u8] = b"";
    for token in tokens.take(LONGEST_CALL) {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth <= 1 => return is(last, "true"),
            Token::Close => depth -= 1,
            Token::Word(word) => last = word,
            Token::Other => last = b"",
            Token::Semicolon | Token::Body(_) => return false,
        }
    }
    false
}

impl<'s> Reader<'s> {
    fn lasts(&mut self) {
        self.effect.trace = Trace::Session;
    }

    fn begin_transaction(&mut self) {
        self.effect.opens = true;
        self.open = Some(true);
    }

    fn word(&mut self, word: &'s [u8], rest: &Tokens<'s>) {
        let verb = *self.verb.get_or_insert_with(|| Verb::of(word));
        match (verb, self.count) {
            (Verb::Begin, 0) => self.begin_transaction(),
            (Verb::Lasting, 0) => self.lasts(),
            (Verb::Start, 1) if is(word, "transaction") => self.begin_transaction(),
            (Verb::Set, 1) if !(is(word, "local") || is(word, "transaction") || is(word, "constraints")) => {
                self.lasts();
            }
            (Verb::Prepare, 1) if is(word, "transaction") => self.open = Some(false),
            (Verb::Prepare, 1) => self.lasts(),
            (Verb::Create, 1..=4) if is_temporary(word) => self.lasts(),
            (Verb::Declare, _) if is(word, "hold") && is(self.previous, "with") => self.lasts(),
            (Verb::End, 1..) => {
                self.to |= is(word, "to") || is(word, "prepared");
                self.chain |= is(word, "chain") && !is(self.previous, "no");
            }
            (Verb::Plain, 1..) if is_temporary(word) && is(self.previous, "into") => self.lasts(),
            _ => {}
        }
        self.atomic |= is(word, "atomic");
        self.name(word, rest);
        self.previous = word;
        self.count += 1;
    }

    fn name(&mut self, word: &[u8], rest: &Tokens<'_>) {
        if is_lasting_name(word) || is(word, "set_config") && !is_local_setting(rest.clone()) {
            self.lasts();
        }
    }

    fn end_statement(&mut self) {
        if self.verb == Some(Verb::End) && !self.to {
            self.open = Some(self.chain);
            self.effect.opens |= self.chain;
        }
        (self.verb, self.count, self.previous) = (None, 0, b"");
        (self.to, self.chain) = (false, false);
    }
}

impl Effect {
    pub(crate) const NONE: Self = Self { trace: Trace::None, opens: false, ends: false };

    pub(crate) fn of(sql: &str) -> Self {
        let mut reader = Reader::default();
        let mut tokens = Tokens::of(sql.as_bytes());
        while let Some(token) = tokens.next() {
            match token {
                Token::Word(word) => reader.word(word, &tokens),
                Token::Semicolon => reader.end_statement(),
                Token::Body(body) => {
                    if words(body).any(|word| is_lasting_name(word) || is(word, "set_config")) {
                        reader.lasts();
                    }
                }
                // A statement may begin with a parenthesis, and only a query does.
                Token::Open => _ = reader.verb.get_or_insert(Verb::Plain),
                Token::Close | Token::Other => {}
            }
        }
        reader.end_statement();
        let Reader { mut effect, open, atomic, .. } = reader;
        effect.ends = open == Some(false) && !atomic;
        effect
    }
}

#[cfg(test)]
mod tests;
