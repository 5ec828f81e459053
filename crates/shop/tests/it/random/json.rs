//! JSON as it is written, so that it may be wrong: duplicate keys, numbers that no type has, texts that are none.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

#[derive(Clone, Debug)]
pub(super) enum Json {
    /// A number, a text, a word, or nothing of the sort.
    Plain(Vec<u8>),
    Array(Vec<Self>),
    /// Keys as they are written.
    Object(Vec<(Vec<u8>, Self)>),
}

/// What may stand in the place of any value.
const ODD: [&str; 42] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "99",
    "100",
    "99.0",
    "-0",
    "1e2",
    "1e400",
    "-1e400",
    "0.1",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "01",
    "+1",
    "NaN",
    "Infinity",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"a\\n\\u001b[31m\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\u{202e}txt\"",
    "\"\u{1f6d2}\u{fe0f}\"",
    "\"e\u{301}\u{212a}\"",
    "\"1\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"DE\"",
    "\"';--\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "{\"\":{}}",
    "\"not closed",
];

impl Json {
    pub(super) fn plain(text: &str) -> Self {
        Self::Plain(text.as_bytes().to_vec())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::plain(&serde_json::Value::from(text).to_string())
    }

    pub(super) fn object<'k>(members: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let key = |name: &str| serde_json::Value::from(name).to_string().into_bytes();
        Self::Object(members.into_iter().map(|(name, value)| (key(name), value)).collect())
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => out.extend(text),
            Self::Array(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    out.extend((at > 0).then_some(b','));
                    item.write_to(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.extend((at > 0).then_some(b','));
                    out.extend(key);
                    out.push(b':');
                    value.write_to(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Changes one thing somewhere in it.
    pub(super) fn spoil(&mut self, dice: &mut StdRng) {
        if dice.random_range(0..3) > 0
            && let Some(inner) = self.choose(dice)
        {
            return inner.spoil(dice);
        }
        match (self, dice.random_range(0..12)) {
            (Self::Object(members), 0) if !members.is_empty() => {
                members.remove(dice.random_range(0..members.len()));
            }
            (Self::Object(members), 1) => {
                let key =
                    *["\"role\"", "\"id\"", "\"\"", "\"__proto__\"", "\"a\\u0000\"", "unquoted"].choose(dice).unwrap();
                let at = dice.random_range(0..=members.len());
                members.insert(at, (key.as_bytes().to_vec(), odd(dice)));
            }
            (Self::Object(members), 2) if !members.is_empty() => {
                let (key, value) = members[dice.random_range(0..members.len())].clone();
                members.push((key, if dice.random_bool(0.5) { value } else { odd(dice) }));
            }
            (Self::Object(members), 3) if !members.is_empty() => {
                let at = dice.random_range(0..members.len());
                let (key, _) = &mut members[at];
                *key = key.to_ascii_uppercase();
            }
            // Fields by position.
            (of @ Self::Object(_), 4..=5) => {
                let Self::Object(members) = of else { return };
                *of = Self::Array(members.drain(..).map(|(_, value)| value).collect());
            }
            (of, 6) => *of = Self::Array(vec![of.clone()]),
            (of, 7) => {
                let (open, close, depth) =
                    *[("[", "]", 200), ("{\"a\":", "}", 200), ("[", "]", 20_000)].choose(dice).unwrap();
                *of = Self::plain(&format!("{}1{}", open.repeat(depth), close.repeat(depth)));
            }
            (of, 8) => {
                let length = *[129, 256, 1_000, 10_000, 66_000].choose(dice).unwrap();
                *of = Self::text(&["a", "\u{fc}", "\u{1f6d2}", "\n"].choose(dice).unwrap().repeat(length));
            }
            (of, _) => *of = odd(dice),
        }
    }

    fn choose(&mut self, dice: &mut StdRng) -> Option<&mut Self> {
        match self {
            Self::Plain(_) => None,
            Self::Array(items) if items.is_empty() => None,
            Self::Array(items) => {
                let at = dice.random_range(0..items.len());
                items.get_mut(at)
            }
            Self::Object(members) if members.is_empty() => None,
            Self::Object(members) => {
                let at = dice.random_range(0..members.len());
                members.get_mut(at).map(|(_, value)| value)
            }
        }
    }
}

fn odd(dice: &mut StdRng) -> Json {
    Json::plain(ODD.choose(dice).unwrap())
}

/// Changes the bytes of a body, whatever they say.
pub(super) fn spoil_bytes(body: &mut Vec<u8>, dice: &mut StdRng) {
    let at = dice.random_range(0..=body.len());
    match dice.random_range(0..13) {
        0 => body.truncate(at),
        1 => body.insert(at, 0),
        2 => body.insert(at, dice.random_range(128..=u8::MAX)),
        3 => _ = body.splice(at..at, *b"\xf0\x28\x8c\xbc"),
        4 => _ = body.splice(0..0, *b"\xef\xbb\xbf"),
        5 => *body = String::from_utf8_lossy(body).encode_utf16().flat_map(u16::to_le_bytes).collect(),
        6 => body.extend_from_within(..),
        7 => body.extend([",", "x", "}", "\0", "   \r\n"].choose(dice).unwrap().bytes()),
        8 => body.clear(),
        9 => *body = b" \t\r\n".repeat(dice.random_range(1..100)),
        10 => body.splice(0..0, *b"\x1f\x8b\x08\0\0\0\0\0").for_each(drop),
        11 => body.resize(*[65_535, 65_536, 65_537, 100_000].choose(dice).unwrap(), b' '),
        _ => {
            for _ in 0..dice.random_range(1..8) {
                let length = body.len();
                if length > 0 {
                    body[dice.random_range(0..length)] = dice.random::<u8>();
                }
            }
        }
    }
}
