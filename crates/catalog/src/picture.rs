//! Pictures of products: drawn from what they are, the same one for the same product, so that nobody has to keep files.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use uuid::Uuid;

const SIDE: u32 = 800;
/// Characters in a line of the name, as wide as they usually are.
const LINE: usize = 24;
const MOST_LINES: usize = 3;

/// An SVG with a few shapes that only this id has, the name and the brand. It holds no script, no style and no reference,
/// and what is text stays text.
pub(crate) fn draw(id: Uuid, name: &str, brand: &str) -> String {
    let mut dice = Sha256::digest(id.as_bytes()).into_iter().map(u32::from);
    let mut draw = |below: u32| dice.next().unwrap_or_default() * below / 256;
    let hue = draw(360);
    let (name, brand) = (printable(name), printable(brand));
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" role="img"><title>{}</title><rect width="{SIDE}" height="{SIDE}" fill="hsl({hue},45%,90%)"/>"#,
        escaped(&name),
    );
    for _ in 0..5 {
        let fill = (hue + 30 + draw(120)) % 360;
        let (x, y, size, turn) = (150 + draw(500), 120 + draw(360), 80 + draw(140), draw(90));
        let shape = match draw(3) {
            0 => format!(r#"<circle cx="{x}" cy="{y}" r="{}""#, size / 2),
            1 => format!(
                r#"<rect x="{x}" y="{y}" width="{size}" height="{size}" rx="16" transform="rotate({turn} {x} {y})""#
            ),
            _ => format!(r#"<path d="M{x} {y}l{size} {}l-{size} {}z""#, size / 2, size / 2),
        };
        svg += &shape;
        svg += &format!(r#" fill="hsl({fill},55%,55%)" fill-opacity=".7"/>"#);
    }
    svg += r##"<g font-family="system-ui,sans-serif" fill="#222" text-anchor="middle">"##;
    for (number, line) in lines(&name).iter().enumerate() {
        let y = 620 + 56 * number;
        svg += &format!(r#"<text x="400" y="{y}" font-size="46">{}</text>"#, escaped(line));
    }
    svg + &format!(r#"<text x="400" y="780" font-size="28">{}</text></g></svg>"#, escaped(&shortened(&brand)))
}

/// Without what XML cannot hold or readers do not see.
fn printable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control() && !matches!(char, '\u{FFFE}' | '\u{FFFF}')).collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&apos;",
            char => safe.push(char),
        }
    }
    safe
}

/// The words in lines, as many as there is room for.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < LINE => _ = write!(line, " {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines[MOST_LINES - 1].push('…');
    }
    lines.iter().map(|line| shortened(line)).collect()
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= LINE + 1 {
        return line.to_owned();
    }
    line.chars().take(LINE).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_one_picture_and_others_have_others() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(draw(one, "Kettle", "Forge"), draw(one, "Kettle", "Forge"));
        assert_ne!(draw(one, "Kettle", "Forge"), draw(other, "Kettle", "Forge"));
    }

    #[test]
    fn whatever_a_name_is_it_stays_text_and_finds_room() {
        let evil = "</title><script>alert('1 & \"2\"')</script>\u{0}\u{7}\u{FFFF}";
        for name in [evil, "", " ", &"x".repeat(200), &"many words ".repeat(30), "山田 太郎"] {
            let svg = draw(Uuid::nil(), name, name);
            assert_eq!(svg.matches("<script").count(), 0, "{svg}");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>") && svg.len() < 4_096, "{svg}");
            assert!(!svg.chars().any(|char| char.is_control() || char == '\u{FFFF}'), "{svg}");
            assert!(svg.matches("<text ").count() <= MOST_LINES + 1);
        }
        assert!(draw(Uuid::nil(), "a<b&c", "").contains("a&lt;b&amp;c"));
    }
}
