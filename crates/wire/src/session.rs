use crate::{Counts, Decoder, Frame, Kind, Malformed, Piece, Side};

/// Both directions of one connection, without its sockets.
///
/// ```
/// use forebay_wire::{Session, Side};
/// let mut session = Session::new();
/// let startup = [0, 0, 0, 9, 0, 3, 0, 0, 0];
/// let mut input = &startup[..];
/// while session.read(Side::Frontend, &mut input)?.is_some() {}
/// assert_eq!(session.counts().all_frames(Side::Frontend), 1);
/// # Ok::<(), forebay_wire::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    frontend: Decoder,
    backend: Decoder,
    counts: Counts,
    /// Questions to which the server has not said yet that it is ready again.
    asked: u64,
    key: Option<(i32, i32)>,
    cancels: Option<(i32, i32)>,
}

impl Session {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frontend: Decoder::new(Side::Frontend),
            backend: Decoder::new(Side::Backend),
            counts: Counts::of_one_dial(),
            asked: 0,
            key: None,
            cancels: None,
        }
    }

    /// The next piece of what `from` sent, taken from the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What comes is no frame.
    pub fn read<'b>(&mut self, from: Side, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Malformed> {
        let decoder = match from {
            Side::Frontend => &mut self.frontend,
            Side::Backend => &mut self.backend,
        };
        let piece = decoder.next(input)?;
        if let Some(Piece::End(frame)) = &piece {
            self.note(from, frame);
        }
        Ok(piece)
    }

    fn note(&mut self, from: Side, frame: &Frame) {
        self.counts.frame(from, frame.kind, frame.size);
        match (from, frame.kind) {
            (_, Kind::SslRequest | Kind::GssRequest) => self.backend.expect_answer(),
            (_, Kind::CancelRequest) => self.cancels = Some(frame.key()),
            (Side::Frontend, Kind::Message(b'S' | b'Q' | b'F')) => self.asked += 1,
            (Side::Backend, Kind::Message(b'K')) => self.key = Some(frame.key()),
            (Side::Backend, Kind::Message(b'Z')) => self.ready_again(),
            _ => {}
        }
    }

    fn ready_again(&mut self) {
        if self.counts.ready == 0 {
            self.counts.ready = 1;
        } else if self.asked > 0 {
            self.asked -= 1;
            self.counts.round_trips += 1;
        }
    }

    /// What came by so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the server has said that it is ready for the first statement.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.counts.ready > 0
    }

    /// Whether the server owes an answer.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.asked > 0
    }

    /// The process id of the server at the other end, once it has said so.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.key.map(|(pid, _)| pid)
    }

    /// The process id that this connection asked to cancel, where it did.
    #[must_use]
    pub fn cancels(&self) -> Option<i32> {
        self.cancels.map(|(pid, _)| pid)
    }

    /// Whether a message may be put in at this moment, in this direction.
    #[must_use]
    pub const fn is_between_frames(&self, from: Side) -> bool {
        match from {
            Side::Frontend => self.frontend.is_between_frames(),
            Side::Backend => self.backend.is_between_frames(),
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}
