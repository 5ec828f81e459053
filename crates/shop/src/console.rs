//! What is said to the person who started a command.

use std::io::{self, Write as _};

/// Says one line to the person who started the shop. Logs go elsewhere: to standard error.
pub fn say(line: &str) {
    // Whoever piped us into `head` has read enough; that is no reason to stop.
    _ = writeln!(io::stdout(), "{line}");
}
