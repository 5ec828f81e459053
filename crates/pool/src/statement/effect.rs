use super::names::{is_for_good, is_harmless, is_trusted};
use super::token::{Token, Tokens, words};

/// What a connection keeps when the statement and its transaction are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trace {
    /// Nothing: the next user may have it as it is.
    #[default]
    None,
    /// What ran is not in the text, and may have changed the session: a DO, a function that is not known.
    Unseen,
    /// A setting, a role, a lock, a temporary table, a subscription: DISCARD ALL takes it away.
    Session,
    /// Anything, also a transaction: somebody had the connection raw.
    Unknown,
    /// What no reset takes away: it ends with the session.
    ForGood,
}

/// What the text of a statement, or of several, does to its connection. It errs on the side of a reset too many. What the
/// schema itself runs (a trigger, a view, a default, an operator) is not in the text.
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
    Explain,
    /// DO or EXECUTE: what runs is not in the text, or was in another one.
    Hidden,
    Load,
    Lasting,
}

impl Verb {
    fn of(word: &[u8]) -> Self {
        let verbs: &[(Self, &[&[u8]])] = match word.len() {
            2 => &[(Self::Hidden, &[b"do"])],
            3 => &[(Self::Set, &[b"set"]), (Self::End, &[b"end"])],
            4 => &[
                (Self::Plain, &[b"with", b"copy", b"drop", b"lock", b"call", b"show", b"move"]),
                (Self::Load, &[b"load"]),
            ],
            5 => &[(Self::Begin, &[b"begin"]), (Self::End, &[b"abort"]), (Self::Start, &[b"start"])],
            6 => &[
                (Self::Plain, &[b"select", b"update", b"delete", b"values"]),
                (Self::Insert, &[b"insert"]),
                (Self::End, &[b"commit"]),
                (Self::Create, &[b"create"]),
            ],
            7 => &[
                (Self::Prepare, &[b"prepare"]),
                (Self::Declare, &[b"declare"]),
                (Self::Explain, &[b"explain"]),
                (Self::Hidden, &[b"execute"]),
            ],
            8 => &[(Self::End, &[b"rollback"])],
            _ => &[],
        };
        let holds = |words: &[&[u8]]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        let known = verbs.iter().find(|(_, words)| holds(words)).map(|(verb, _)| *verb);
        known.unwrap_or_else(|| if holds(PLAIN) { Self::Plain } else { Self::Lasting })
    }
}

/// Commands that leave nothing behind in the session. What is in no list here leaves something: LISTEN, DISCARD and
/// DEALLOCATE do (the last two take away what sqlx believes to be prepared), RESET (it takes away what a connector has set),
/// and an unknown one may.
const PLAIN: &[&[u8]] = &[
    b"table",
    b"merge",
    b"fetch",
    b"close",
    b"savepoint",
    b"release",
    b"truncate",
    b"alter",
    b"analyze",
    b"analyse",
    b"vacuum",
    b"notify",
    b"unlisten",
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

/// What the words behind COMMIT, END, ROLLBACK or ABORT make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    OfAll,
    /// TO a savepoint, or of one that was PREPARED.
    OfAnother,
    /// AND CHAIN: the next one is open.
    Chain,
}

/// Reads statement after statement of one text.
#[derive(Debug, Default)]
struct Reader<'s> {
    /// Functions that the pool's user trusts.
    trusted: &'s [String],
    effect: Effect,
    verb: Option<Verb>,
    /// Words of this statement so far.
    count: usize,
    previous: &'s [u8],
    /// The word before the previous one.
    earlier: &'s [u8],
    /// DISTINCT ON was read: behind its parenthesis a function may stand, elsewhere only an alias.
    distinct_on: bool,
    end: End,
    /// Whether a transaction is open behind what was read so far, where the text says so.
    open: Option<bool>,
    /// The body of a function in plain SQL: its words are no statements of this text.
    atomic: bool,
}

#[inline]
fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}

fn is_temporary(word: &[u8]) -> bool {
    is(word, "temp") || is(word, "temporary")
}

/// A function whose effect outlives the transaction. `set_config` is looked at by its caller.
#[inline]
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

/// Whether a name behind this word, with a list in parentheses, is no function that is called.
fn is_before_name(word: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "into",
        "as",
        "table",
        "with",
        "recursive",
        "only",
        "copy",
        "references",
        "exists",
        "function",
        "procedure",
        "ordinality",
    ];
    WORDS.iter().any(|known| is(word, known))
}

/// Words that may be a function's name, but not behind this one.
fn is_of_the_grammar(before: &[u8], word: &[u8]) -> bool {
    const PAIRS: &[(&str, &str)] = &[("grouping", "sets"), ("on", "conflict"), ("not", "materialized")];
    PAIRS.iter().any(|(first, second)| is(before, first) && is(word, second))
}

/// A statement that can be explained begins with this word.
fn is_explained(word: &[u8]) -> bool {
    const WORDS: &[&str] =
        &["select", "insert", "update", "delete", "merge", "values", "with", "table", "create", "execute", "declare"];
    WORDS.iter().any(|known| is(word, known))
}

/// Whether a name, read to its end, is that of a query in a WITH and has a list of columns: `x (a, b) as (select`.
fn is_named_query(tokens: Tokens<'_>) -> bool {
    const LONGEST_LIST: usize = 64;
    let mut rest = tokens.take(LONGEST_LIST).skip_while(|token| *token != Token::Close).skip(1);
    if !matches!(rest.next(), Some(Token::Word(word)) if is(word, "as")) {
        return false;
    }
    // Behind the AS of a function's result stands a list of columns, each with its type.
    let first = rest.find(|token| *token != Token::Open);
    matches!(first, Some(Token::Word(word)) if is_explained(word) || is(word, "materialized") || is(word, "not"))
}

impl<'s> Reader<'s> {
    fn leaves(&mut self, trace: Trace) {
        self.effect.trace = self.effect.trace.max(trace);
    }

    fn lasts(&mut self) {
        self.leaves(Trace::Session);
    }

    fn begin_transaction(&mut self) {
        self.effect.opens = true;
        self.open = Some(true);
    }

    fn word(&mut self, word: &'s [u8], rest: &Tokens<'s>) {
        if self.verb == Some(Verb::Explain) && is_explained(word) {
            (self.verb, self.count) = (None, 0);
        }
        let verb = *self.verb.get_or_insert_with(|| Verb::of(word));
        match (verb, self.count) {
            (Verb::Begin, 0) => self.begin_transaction(),
            (Verb::Lasting, 0) => self.lasts(),
            (Verb::Load, 0) => self.leaves(Trace::ForGood),
            (Verb::Hidden, 0) => self.hidden(word),
            (Verb::Start, 1) if is(word, "transaction") => self.begin_transaction(),
            (Verb::Set, 1 | 2) if is(word, "seed") => self.leaves(Trace::ForGood),
            (Verb::Set, 1) if !(is(word, "local") || is(word, "transaction") || is(word, "constraints")) => {
                self.lasts();
            }
            (Verb::Prepare, 1) if is(word, "transaction") => self.open = Some(false),
            (Verb::Prepare, 1) => self.lasts(),
            (Verb::Create, 1..=4) if is_temporary(word) => self.lasts(),
            (Verb::Create, 1..) if is(word, "execute") => self.hidden(word),
            // Nothing else of a CREATE runs than its query.
            (Verb::Create, 1..) if is(word, "select") || is(word, "values") => self.verb = Some(Verb::Plain),
            (Verb::Declare, _) if is(word, "hold") && is(self.previous, "with") => self.lasts(),
            (Verb::End, 1..) if is(word, "to") || is(word, "prepared") => self.end = End::OfAnother,
            (Verb::End, 1..) if is(word, "chain") && !is(self.previous, "no") => self.end = End::Chain,
            (Verb::Plain, 1..) if is_temporary(word) && is(self.previous, "into") => self.lasts(),
            _ => {}
        }
        match word.len() {
            2 => self.distinct_on |= is(word, "on") && is(self.previous, "distinct"),
            6 => self.atomic |= is(word, "atomic"),
            _ => {}
        }
        self.name(word, rest);
        self.earlier = std::mem::replace(&mut self.previous, word);
        self.count += 1;
    }

    /// What runs is not in the text. Its user trusts it by the name of its command.
    fn hidden(&mut self, command: &[u8]) {
        if !is_trusted(command, self.trusted) {
            self.leaves(Trace::Unseen);
        }
    }

    fn name(&mut self, word: &[u8], rest: &Tokens<'_>) {
        if is_lasting_name(word) {
            self.lasts();
        } else if is(word, "set_config") {
            if !is_local_setting(rest.clone()) {
                self.lasts();
            }
        } else if is(word, "pg_settings") {
            // Its rule calls set_config for an UPDATE.
            if is(self.previous, "update") || is(self.earlier, "update") {
                self.lasts();
            }
        } else if self.count > 0 && rest.opens() {
            self.call(word, rest);
        }
    }

    /// Whether a name that was read, with a parenthesis behind it, is that of a function that is called.
    fn calls(&self, rest: &Tokens<'_>) -> bool {
        let before = if rest.follows(b".") { self.earlier } else { self.previous };
        let runs = matches!(self.verb, Some(Verb::Plain | Verb::Insert | Verb::Declare));
        let is_alias = rest.follows(b")") && !self.distinct_on;
        runs && !is_alias && !rest.follows(b"::") && !is_before_name(before)
    }

    /// A name with a parenthesis behind it. Most are known, and that is quickly asked.
    fn call(&mut self, name: &[u8], rest: &Tokens<'_>) {
        let schema = rest.follows(b".").then_some(self.previous);
        // Of a name in quotes every letter counts, and what comes with the server has small ones.
        let is_own = rest.is_quoted() && name.iter().any(u8::is_ascii_uppercase);
        if !is_own && is_harmless(name, schema) || is_of_the_grammar(self.previous, name) || !self.calls(rest) {
            return;
        }
        if is_for_good(name) {
            self.leaves(Trace::ForGood);
        } else if !is_trusted(name, self.trusted) && !is_named_query(rest.clone()) {
            self.leaves(Trace::Unseen);
        }
    }

    fn end_statement(&mut self) {
        if self.verb == Some(Verb::End) && self.end != End::OfAnother {
            let chain = self.end == End::Chain;
            self.open = Some(chain);
            self.effect.opens |= chain;
        }
        (self.verb, self.count, self.previous, self.earlier) = (None, 0, b"", b"");
        (self.end, self.distinct_on) = (End::OfAll, false);
    }
}

impl Effect {
    pub(crate) const NONE: Self = Self { trace: Trace::None, opens: false, ends: false };

    /// `trusted` are the functions of which the pool's user says that they leave nothing.
    pub(crate) fn of(sql: &str, trusted: &[String]) -> Self {
        let mut reader = Reader { trusted, ..Reader::default() };
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
