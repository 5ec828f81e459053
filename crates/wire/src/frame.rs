use std::fmt;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The client.
    Frontend,
    /// The server.
    Backend,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frontend => "the client",
            Self::Backend => "the server",
        })
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The first packet of a session, whatever protocol version it asks for.
    Startup,
    /// The client asks whether it may encrypt, by TLS.
    SslRequest,
    /// The client asks whether it may encrypt, by GSSAPI.
    GssRequest,
    /// The client asks to cancel what another session runs.
    CancelRequest,
    /// The server's one byte to one of the two questions above.
    EncryptionAnswer,
    /// A message with a type byte. The same byte means other things in the two directions.
    Message(u8),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("startup packet"),
            Self::SslRequest => f.write_str("TLS request"),
            Self::GssRequest => f.write_str("GSSAPI request"),
            Self::CancelRequest => f.write_str("cancel request"),
            Self::EncryptionAnswer => f.write_str("answer to an encryption request"),
            Self::Message(tag) => write!(f, "message '{}'", tag.escape_ascii()),
        }
    }
}

/// One frame that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Bytes on the wire, all told.
    pub size: u64,
    pub(crate) lead: [u8; Self::LEAD],
}

impl Frame {
    pub(crate) const LEAD: usize = 8;

    /// The first eight bytes of the body, behind type, length and request code; zeros where there are fewer.
    #[must_use]
    pub const fn lead(&self) -> [u8; Self::LEAD] {
        self.lead
    }

    /// The two numbers that a `BackendKeyData` or a cancel request begins with: process id and (the start of) the key.
    pub(crate) fn key(&self) -> (i32, i32) {
        let [a, b, c, d, e, f, g, h] = self.lead;
        (i32::from_be_bytes([a, b, c, d]), i32::from_be_bytes([e, f, g, h]))
    }
}

/// Bytes that are not Postgres frames. Nothing after them can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The length of a packet without type byte.
    #[error("{side} began with a packet of {length} bytes, and 8 to 10,000 are allowed")]
    PacketLength {
        /// Who sent it.
        side: Side,
        /// What it said.
        length: u32,
    },
    /// The length of a message.
    #[error("{side} sent a {kind} with length {length}, and {least} to {most} are allowed")]
    MessageLength {
        /// Who sent it.
        side: Side,
        /// Which message.
        kind: Kind,
        /// What it said.
        length: u32,
        /// The least that such a message has.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A type byte that no message has.
    #[error("{side} sent a message of type '{}', which does not exist", tag.escape_ascii())]
    UnknownMessage {
        /// Who sent it.
        side: Side,
        /// The byte.
        tag: u8,
    },
    /// A length that its own request code does not have.
    #[error("the client sent a {kind} of {length} bytes")]
    RequestLength {
        /// Which request.
        kind: Kind,
        /// What it said.
        length: u32,
    },
    /// The session goes on encrypted.
    #[error("the server agreed to encrypt ('{}'), and only plain frames can be read: use sslmode=disable", answer.escape_ascii())]
    Encrypted {
        /// The server's answer.
        answer: u8,
    },
    /// A cancel request is the last thing on its connection.
    #[error("the client sent more after a cancel request")]
    AfterCancel,
}
