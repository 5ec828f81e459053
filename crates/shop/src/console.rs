//! What is said to the person who started a command.

use std::{
    cell::Cell,
    fmt,
    io::{self, IsTerminal as _, Write},
    panic,
    sync::OnceLock,
};

use forebay_platform::{config::Env, telemetry::LogFormat};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// From now on everything is said as `FOREBAY_LOG_FORMAT` asks for, panics too: whoever reads JSON reads nothing else.
pub fn speak_as_logs_do(env: &Env) {
    let format = LogFormat::read(&mut env.reader());
    if FORMAT.set(format).is_ok() && format == LogFormat::Json {
        panic::set_hook(Box::new(|panic| write(&mut io::stderr(), "ERROR", &panic.to_string())));
    }
}

/// Says one line, or a few, to the person who started the shop. Logs go elsewhere: to standard error.
pub fn say(line: &str) {
    write(&mut io::stdout(), "INFO", line);
}

/// Something long, step by step: in a terminal one line that fills, elsewhere a line for each step.
#[derive(Debug, Default)]
pub struct Bar(Cell<bool>);

impl Bar {
    const WIDTH: usize = 24;

    /// A step begins, the first being 1.
    pub fn show(&self, number: usize, of: usize, doing: &str) {
        if FORMAT.get() == Some(&LogFormat::Json) || !io::stdout().is_terminal() {
            return say(&format!("{number}/{of} {doing}"));
        }
        self.0.set(true);
        let done = Self::WIDTH * number.saturating_sub(1) / of.max(1);
        let (full, empty) = ("#".repeat(done), ".".repeat(Self::WIDTH.saturating_sub(done)));
        let mut out = io::stdout();
        _ = write!(out, "\r\x1b[K[{full}{empty}] {number}/{of} {doing}").and_then(|()| out.flush());
    }
}

/// What is said next begins on a line of its own.
impl Drop for Bar {
    fn drop(&mut self) {
        if self.0.get() {
            let mut out = io::stdout();
            _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
        }
    }
}

/// Says on standard error why a command failed.
pub fn complain(error: &impl fmt::Display) {
    write(&mut io::stderr(), "ERROR", &format!("\n{error}"));
}

fn write(to: &mut impl Write, level: &str, text: &str) {
    // Whoever piped us into `head` has read enough; that is no reason to stop.
    _ = match FORMAT.get() {
        Some(LogFormat::Json) => writeln!(to, "{}", as_json(OffsetDateTime::now_utc(), level, text)),
        _ => writeln!(to, "{text}"),
    };
}

/// A line as the log has them.
fn as_json(now: OffsetDateTime, level: &str, text: &str) -> serde_json::Value {
    let timestamp = now.format(&Rfc3339).unwrap_or_default();
    json!({"timestamp": timestamp, "level": level, "message": text.trim(), "target": "forebay_shop::console"})
}
