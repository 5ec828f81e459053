use std::time::Duration;

/// What happens to those who connect from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dials {
    /// They reach the server.
    #[default]
    Forward,
    /// Nobody listens: the system refuses them, and nothing is counted.
    Refuse,
    /// They are accepted and reset at once.
    Reset,
    /// They are accepted and never hear anything.
    Silence,
    /// They reach the server; its first answer is held back for so long.
    Delay(Duration),
    /// They are accepted, and their startup packet is answered with this SQLSTATE, as a fatal error.
    Fail(&'static str),
}

impl Dials {
    /// What a server answers that has no room for another session.
    pub const NO_ROOM: Self = Self::Fail("53300");
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    #[default]
    Pass,
    /// They are held, and go on when this ends. At most one chunk is read.
    Freeze,
    /// A black hole: they are read and forgotten, the end of the stream too. A connection that has lost something is
    /// reset when this ends, since what follows would make no sense.
    Swallow,
}

/// An error message of the server's, complete.
pub(crate) fn error_message(severity: &str, code: &str, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, value) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)] {
        body.push(field);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[b'E'][..], &length.to_be_bytes(), &body].concat()
}
