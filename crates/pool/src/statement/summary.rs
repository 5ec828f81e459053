use super::token::{Token, Tokens};

/// The name of what is kept account of together: texts of which no more is known, or for which there was no room.
pub(crate) const OTHER: &str = "other";

/// What a text does and to what, in a few words: `SELECT catalog.products`, `INSERT orders SELECT carts`. By the rules of
/// OpenTelemetry's `db.query.summary`: its operations and their tables in the order in which they are written, each once, and
/// never a value. Names of queries in a WITH and of functions are left out. 255 bytes at most.
///
/// ```
/// use forebay_pool::summary;
/// assert_eq!(summary("select name from catalog.products where id = 7"), "SELECT catalog.products");
/// assert_eq!(summary("insert into orders select * from carts"), "INSERT orders SELECT carts");
/// ```
#[must_use]
pub fn summary(text: &str) -> String {
    let mut reader = Reader::default();
    let mut tokens = Tokens::of(text.as_bytes());
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => reader.word(word, &mut tokens),
            Token::Semicolon => reader.begin(),
            Token::Open => reader.open(),
            Token::Close => reader.close(),
            Token::Other if tokens.written(0).0 == b"," => reader.comma(),
            Token::Other | Token::Body(_) => reader.before = Before::Other,
        }
    }
    reader.said()
}

/// What stands before a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before<'s> {
    #[default]
    Nothing,
    Word(&'s [u8]),
    Open,
    Close,
    Other,
}

/// What the next word is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Anything,
    /// A table or, with parentheses behind it, a function.
    Source,
    /// A table, a procedure or another object, whatever stands behind it.
    Object,
    /// The name of a query in a WITH.
    Query,
    /// Nothing more of this statement is told.
    Nothing,
}

/// What is known between two parentheses.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The operation whose clauses are read.
    verb: Option<&'static str>,
    /// Which of the parts tables are told of.
    part: usize,
    /// A comma is followed by one more table.
    lists: bool,
    /// A comma is followed by one more query with a name.
    names: bool,
}

#[derive(Debug, Default)]
struct Reader<'s> {
    levels: Vec<Level>,
    level: Level,
    before: Before<'s>,
    next: Next,
    /// Names of queries in a WITH.
    queries: Vec<&'s [u8]>,
    parts: Vec<(&'static str, Vec<String>)>,
}

/// Commands of which nothing more is told.
const PLAIN: &[&str] = &[
    "BEGIN",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "EXECUTE",
    "DEALLOCATE",
    "FETCH",
    "MOVE",
    "CLOSE",
    "SET",
    "RESET",
    "SHOW",
    "DISCARD",
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
    "DO",
    "GRANT",
    "REVOKE",
    "COMMENT",
    "ANALYZE",
    "VACUUM",
    "CLUSTER",
    "REINDEX",
    "CHECKPOINT",
    "LOAD",
    "REASSIGN",
    "IMPORT",
    "SECURITY",
    "VALUES",
];
/// Commands that hold a query.
const OVER: &[&str] = &["EXPLAIN", "PREPARE", "DECLARE"];
/// Commands with a name right behind them.
const OF_ONE: &[&str] = &["TRUNCATE", "LOCK", "CALL", "COPY", "REFRESH", "TABLE", "CREATE", "ALTER", "DROP"];
/// Operations that may also stand inside of a WITH.
const CHANGES: &[&str] = &["INSERT", "UPDATE", "DELETE", "MERGE"];
/// Words between a command and the name that it is about.
const BETWEEN: &[&str] = &[
    "only",
    "lateral",
    "table",
    "if",
    "not",
    "exists",
    "or",
    "replace",
    "temp",
    "temporary",
    "unlogged",
    "unique",
    "materialized",
    "view",
    "concurrently",
    "index",
    "schema",
    "sequence",
    "type",
    "function",
    "procedure",
    "extension",
    "role",
    "user",
    "database",
    "trigger",
    "policy",
    "publication",
    "subscription",
    "foreign",
    "domain",
    "statistics",
];

fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}

fn found(words: &[&'static str], word: &[u8]) -> Option<&'static str> {
    words.iter().find(|known| is(word, known)).copied()
}

impl<'s> Reader<'s> {
    /// Deeper parentheses are read as if they were not there.
    const DEEPEST: usize = 64;
    /// Bytes.
    const LONGEST: usize = 255;
    /// Operations of a text, tables of an operation and names of queries that are looked at: more are not said anyway.
    const MOST: usize = 32;
    /// Bytes of one name: what Postgres keeps of it.
    const LONGEST_NAME: usize = 63;

    /// A statement begins.
    fn begin(&mut self) {
        self.levels.clear();
        (self.level, self.before, self.next) = (Level::default(), Before::Nothing, Next::Anything);
    }

    fn open(&mut self) {
        if self.levels.len() < Self::DEEPEST {
            let inner = Level { part: self.level.part, ..Level::default() };
            self.levels.push(std::mem::replace(&mut self.level, inner));
        }
        if self.next != Next::Source && self.next != Next::Nothing {
            self.next = Next::Anything;
        }
        self.before = Before::Open;
    }

    fn close(&mut self) {
        self.level = self.levels.pop().unwrap_or_default();
        self.before = Before::Close;
    }

    fn comma(&mut self) {
        match self.level {
            Level { names: true, .. } => self.next = Next::Query,
            Level { lists: true, .. } => self.next = Next::Source,
            _ => {}
        }
        self.before = Before::Other;
    }

    fn word(&mut self, word: &'s [u8], tokens: &mut Tokens<'s>) {
        let before = std::mem::replace(&mut self.before, Before::Word(word));
        let quoted = tokens.is_quoted();
        match self.next {
            Next::Nothing => return,
            Next::Query if is(word, "recursive") && !quoted => return,
            Next::Query => {
                if self.queries.len() < Self::MOST {
                    self.queries.push(word);
                }
                self.next = Next::Anything;
                return;
            }
            Next::Source | Next::Object if !quoted && found(BETWEEN, word).is_some() => return,
            Next::Source | Next::Object if quoted || !(is(word, "select") || is(word, "values")) => {
                return self.name(word, quoted, tokens);
            }
            _ => {}
        }
        self.next = Next::Anything;
        if quoted {
            return;
        }
        if is(word, "select") {
            self.does("SELECT");
        } else if is(word, "with") && matches!(before, Before::Nothing | Before::Open) {
            (self.level.names, self.next) = (true, Next::Query);
        } else if let Some(change) = found(CHANGES, word).filter(|_| self.may_begin(before)) {
            self.does(change);
            if change == "UPDATE" {
                self.next = Next::Object;
            }
        } else if before == Before::Nothing {
            self.command(word);
        } else {
            self.clause(word, before);
        }
    }

    /// Whether what stands before a word allows that it begins a statement. All but SELECT may be names too.
    fn may_begin(&self, before: Before<'_>) -> bool {
        match before {
            Before::Nothing | Before::Open => true,
            Before::Close => self.level.verb.is_none(),
            Before::Word(word) => {
                self.level.verb.is_none() && found(&["explain", "analyze", "verbose", "as"], word).is_some()
            }
            Before::Other => false,
        }
    }

    fn does(&mut self, verb: &'static str) {
        self.level = Level { verb: Some(verb), ..Level::default() };
        self.tell(verb);
    }

    fn tell(&mut self, verb: &'static str) {
        self.level.part = self.parts.len();
        if self.parts.len() < Self::MOST {
            self.parts.push((verb, Vec::new()));
        }
    }

    /// The first word of a statement that is neither a query nor a change.
    fn command(&mut self, word: &[u8]) {
        let (said, next) = if let Some(plain) = found(PLAIN, word) {
            (plain, Next::Nothing)
        } else if is(word, "start") {
            ("BEGIN", Next::Nothing)
        } else if let Some(over) = found(OVER, word) {
            (over, Next::Anything)
        } else if let Some(command) = found(OF_ONE, word) {
            (command, Next::Object)
        } else {
            (OTHER, Next::Nothing)
        };
        self.tell(said);
        self.next = next;
    }

    /// A word inside of a query or a change.
    fn clause(&mut self, word: &[u8], before: Before<'_>) {
        const ENDS: &[&str] = &[
            "where",
            "order",
            "group",
            "having",
            "limit",
            "offset",
            "window",
            "union",
            "intersect",
            "except",
            "set",
            "returning",
            "for",
            "fetch",
            "values",
        ];
        let Some(verb) = self.level.verb else {
            // A join in parentheses of its own.
            if is(word, "join") {
                self.next = Next::Source;
            }
            return;
        };
        // `x IS DISTINCT FROM y`.
        let of_distinct = matches!(before, Before::Word(before) if is(before, "distinct"));
        if is(word, "from") && !of_distinct {
            (self.level.lists, self.next) = (true, Next::Source);
        } else if is(word, "join") || is(word, "using") && matches!(verb, "DELETE" | "MERGE") {
            self.next = Next::Source;
        } else if is(word, "into") {
            self.next = Next::Object;
        } else if found(ENDS, word).is_some() {
            self.level.lists = false;
        }
    }

    /// A name begins, which may have a schema before it.
    fn name(&mut self, word: &'s [u8], quoted: bool, tokens: &mut Tokens<'s>) {
        let next = std::mem::take(&mut self.next);
        let mut name = Self::shown(word, quoted);
        let mut qualified = false;
        loop {
            let mut ahead = tokens.clone();
            if ahead.next() != Some(Token::Other) || ahead.written(0).0 != b"." {
                break;
            }
            let Some(Token::Word(word)) = ahead.next() else { break };
            name.push('.');
            name.push_str(&Self::shown(word, ahead.is_quoted()));
            *tokens = ahead;
            qualified = true;
        }
        let is_function = next == Next::Source && tokens.opens();
        let is_query = !qualified && self.queries.iter().any(|query| query.eq_ignore_ascii_case(word));
        if !is_function
            && !is_query
            && let Some((_, names)) = self.parts.get_mut(self.level.part)
            && names.len() < Self::MOST
            && !names.contains(&name)
        {
            names.push(name);
        }
        if self.level.verb.is_none() && self.levels.is_empty() && next == Next::Object {
            self.next = Next::Nothing;
        }
    }

    fn shown(word: &[u8], quoted: bool) -> String {
        match str::from_utf8(word) {
            Ok(name) if name.len() > Self::LONGEST_NAME || name.contains(char::is_control) => "?".to_owned(),
            Ok(name) if quoted => name.to_owned(),
            Ok(name) => name.to_ascii_lowercase(),
            Err(_) => "?".to_owned(),
        }
    }

    /// Each operation with what it has not been said to be about before.
    fn said(mut self) -> String {
        for at in (1..self.parts.len()).rev() {
            let (before, rest) = self.parts.split_at_mut(at);
            let (verb, names) = &mut rest[0];
            names.retain(|name| !before.iter().any(|(other, known)| other == verb && known.contains(name)));
        }
        // A query is said to be one where nothing else is known of the text.
        let told = |(verb, names): &(&str, Vec<String>)| *verb != "SELECT" || !names.is_empty();
        if self.parts.iter().any(told) {
            self.parts.retain(told);
        } else {
            self.parts.truncate(1);
        }
        let mut said = String::new();
        for word in
            self.parts.iter().flat_map(|(verb, names)| std::iter::once(*verb).chain(names.iter().map(String::as_str)))
        {
            if said.len() + word.len() >= Self::LONGEST {
                // What its next query is about has no room either.
                said.truncate(said.trim_end_matches(" SELECT").len());
                break;
            }
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(word);
        }
        if said.is_empty() { OTHER.to_owned() } else { said }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn what_a_text_does_is_said_with_the_tables_that_it_is_about() {
        for (text, wanted) in [
            ("select 1", "SELECT"),
            ("SELECT * FROM Products WHERE name = 'from secret'", "SELECT products"),
            ("select * from songs, artists a, only labels", "SELECT songs artists labels"),
            (
                "select p.id from catalog.products p join catalog.skus s using (id)",
                "SELECT catalog.products catalog.skus",
            ),
            ("select id from \"My Table\" for update", "SELECT My Table"),
            ("insert into t (a, b) values ($1, $2) on conflict (a) do update set b = 1", "INSERT t"),
            ("insert into t select * from u", "INSERT t SELECT u"),
            ("update only s.t set a = 1 from u where t.id = u.id", "UPDATE s.t u"),
            ("delete from t using u where t.id = u.id", "DELETE t u"),
            ("merge into t using s on t.id = s.id when matched then update set a = 1", "MERGE t s"),
            ("select extract(epoch from at) from t where a is distinct from b", "SELECT t"),
            ("select substring(a from 2), trim(both from b) from t", "SELECT t"),
            ("select * from unnest($1::int[]) with ordinality as k (n) left join t on t.n = k.n", "SELECT t"),
            ("select * from (t cross join u)", "SELECT t u"),
            ("select * from (select id from a) x, b order by 1, 2", "SELECT b SELECT a"),
            ("select id from a where b in (select b from c) and d in (select b from c)", "SELECT a SELECT c"),
            (
                "with x as (select * from t), y (n) as (delete from u returning n) update v set a = 1 from x, y",
                "SELECT t DELETE u UPDATE v",
            ),
            ("with recursive x as (select 1 union all select n + 1 from x) select * from x", "SELECT"),
            ("with x as materialized (select 1) insert into t select * from x", "INSERT t"),
            ("(select a from t) union all (select a from u)", "SELECT t SELECT u"),
            ("explain (analyze) update t set a = 1", "EXPLAIN UPDATE t"),
            ("prepare x as delete from t", "PREPARE DELETE t"),
            ("declare c cursor for select * from t", "DECLARE SELECT t"),
            ("copy t (a, b) from stdin", "COPY t"),
            ("copy (select a from t) to stdout", "COPY SELECT t"),
            ("truncate table a, b", "TRUNCATE a"),
            ("create unique index concurrently if not exists i on t (a)", "CREATE i"),
            ("create temp table x as select * from t", "CREATE x"),
            ("alter table only t add column select_from int", "ALTER t"),
            ("call p(1)", "CALL p"),
            ("table t", "TABLE t"),
            ("begin; select a from t; commit", "BEGIN SELECT t COMMIT"),
            ("start transaction isolation level serializable", "BEGIN"),
            ("set role secret_role", "SET"),
            ("listen secret_channel", "LISTEN"),
            ("do $$ begin delete from t; end $$", "DO"),
            ("values (1), (2)", "VALUES"),
            ("", "other"),
            ("-- nothing", "other"),
            ("hunter2 select from t", "other"),
            ("select update, delete from t", "SELECT t"),
            ("select 'unclosed from t", "SELECT"),
            ("select * from", "SELECT"),
            ("select * from \"a\nb\"", "SELECT ?"),
            ("select * from \"a\"\"b\"", "SELECT a\"\"b"),
            ("/* /* from a */ from b */ select * from t", "SELECT t"),
            ("select $x$ from a $y$ from b $x$ from t", "SELECT t"),
        ] {
            assert_eq!(summary(text), wanted, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_long_nor_shows_a_value_in_it() {
        let many: String = (0..1_000).map(|n| format!("select * from table_number_{n}; ")).collect();
        let said = summary(&many);
        assert!(said.len() <= 255 && said.ends_with(char::is_numeric), "{said}");
        assert_eq!(summary(&format!("select * from {}", "x".repeat(64))), "SELECT ?");
        assert_eq!(summary(&format!("{} select a from t", "(".repeat(10_000))), "SELECT t");
        let names: String = (0..40).map(|n| format!("\"é{n}{}\", ", "é".repeat(n % 4 + 20))).collect();
        assert!((200..=255).contains(&summary(&format!("select * from {names} t")).len()), "it ends with a whole name");
        for text in ["select 'x' from t where a = 'v'", "select E'x', 5, $q$v$q$ from t where b = 7 limit 5"] {
            assert_eq!(summary(text), "SELECT t");
        }
    }

    #[test]
    fn a_megabyte_of_what_nests_or_is_not_closed_is_read_to_its_end() {
        let many = |piece: &str| piece.repeat((1 << 20) / piece.len());
        for text in [
            many("/*"),
            format!("select * from t {}", many("/* */ ")),
            many("$"),
            many("$a"),
            format!("$abc$ {}", many("$ab$")),
            format!("$$ {}", many("$a$")),
            format!("select * from \"{}", many("\"\"")),
            format!("select * from t where a = '{}", many("''")),
            format!("select E'{}", many("\\")),
            many("("),
            many("()"),
            format!("select * from {}", many("t.")),
            format!("select * from {}", many("t,")),
            format!("with {}", many("x,")),
            many("select * from \"a\" join b "),
            many("a -- "),
            many("a /* ( */ "),
            many("from a /* "),
            many("é"),
        ] {
            let said = summary(&text);
            assert!(said.len() <= 255, "{said}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let words = ["select", "from", "with", "(", ")", ",", ".", "as", "join", "update", "t", "\"", "'", ";", "$x$"];
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..20_000 {
            let text: Vec<&str> =
                (0..random.random_range(0..20)).map(|_| words[random.random_range(..words.len())]).collect();
            assert!(summary(&text.join(" ")).len() <= 255);
        }
    }
}
