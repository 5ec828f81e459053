use crate::{Frame, Kind, Malformed, Side};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The server's own limit of a packet without type byte.
const MOST_PACKET: u32 = 10_000;
/// Both server and clients refuse longer ones.
const MOST_MESSAGE: u32 = 0x3fff_ffff;

const FRONTEND: &[u8] = b"BCDEFHPQSXcdfp";
const BACKEND: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

/// Reads frames of one direction from chunks of any size. It keeps the head of the frame it is in, and never a body.
#[derive(Clone, Debug)]
pub struct Decoder {
    side: Side,
    step: Step,
    held: Head,
    /// Questions for encryption that the server has not answered.
    asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A packet without type byte comes next.
    Packet,
    /// A message comes next; or, where the client has asked whether it may encrypt, the server's one byte.
    Message,
    Body {
        frame: Frame,
        seen: u64,
    },
    /// Nothing can be read any more.
    Broken(Malformed),
    /// Nothing may come any more.
    Over,
}

/// Type, length and request code of a frame, as they were on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; Self::MOST],
    length: usize,
}

impl Head {
    const MOST: usize = 8;

    /// The bytes to pass on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Takes what is missing to `wanted` bytes; says whether it is complete.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let take = wanted.saturating_sub(self.length).min(input.len());
        let (taken, rest) = input.split_at(take);
        self.bytes[self.length..self.length + take].copy_from_slice(taken);
        self.length += take;
        *input = rest;
        self.length >= wanted
    }

    fn number(&self, at: usize) -> u32 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|offset| self.bytes[at + offset]);
        u32::from_be_bytes([a, b, c, d])
    }
}

/// A part of a frame. Heads and bodies one behind the other are the bytes that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'b> {
    /// A frame begins.
    Begin(Kind, Head),
    /// Bytes of its body.
    Body(&'b [u8]),
    /// It ends.
    End(Frame),
}

impl Decoder {
    /// Of a connection that begins now.
    #[must_use]
    pub const fn new(side: Side) -> Self {
        let step = match side {
            Side::Frontend => Step::Packet,
            Side::Backend => Step::Message,
        };
        Self { side, step, held: Head { bytes: [0; Head::MOST], length: 0 }, asked: 0 }
    }

    /// The client asked whether it may encrypt: a byte of the server's is the answer.
    pub(crate) const fn expect_answer(&mut self) {
        self.asked = self.asked.saturating_add(1);
    }

    /// Whether a frame has ended and none begun.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.held.length == 0 && !matches!(self.step, Step::Body { .. })
    }

    /// The next piece, taken from the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What comes is no frame, or what came before was none.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Malformed> {
        let piece = match self.step {
            Step::Broken(malformed) => Err(malformed),
            Step::Body { frame, seen } => Ok(self.body(frame, seen, input)),
            _ if input.is_empty() => Ok(None),
            Step::Packet => self.packet(input),
            Step::Message if self.asked > 0 && self.held.length == 0 => self.answer(input),
            Step::Message => self.message(input),
            Step::Over => Err(Malformed::AfterCancel),
        };
        if let Err(malformed) = piece {
            self.step = Step::Broken(malformed);
        }
        piece
    }

    fn body<'b>(&mut self, mut frame: Frame, seen: u64, input: &mut &'b [u8]) -> Option<Piece<'b>> {
        let left = frame.size - seen;
        if left == 0 {
            self.step = after(frame.kind);
            return Some(Piece::End(frame));
        }
        if input.is_empty() {
            return None;
        }
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (body, rest) = input.split_at(take);
        *input = rest;
        let before = usize::try_from(seen - head_of(frame.kind)).unwrap_or(usize::MAX);
        for (to, from) in frame.lead.iter_mut().skip(before).zip(body) {
            *to = *from;
        }
        self.step = Step::Body { frame, seen: seen + take as u64 };
        Some(Piece::Body(body))
    }

    fn packet<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Malformed> {
        // The length is judged before the code is waited for: a short packet has none.
        if self.held.fill(4, input) {
            let length = self.held.number(0);
            if !(8..=MOST_PACKET).contains(&length) {
                return Err(Malformed::PacketLength { side: self.side, length });
            }
        }
        if !self.held.fill(8, input) {
            return Ok(None);
        }
        let length = self.held.number(0);
        let (kind, fits) = match self.held.number(4) {
            SSL_REQUEST => (Kind::SslRequest, length == 8),
            GSS_REQUEST => (Kind::GssRequest, length == 8),
            CANCEL_REQUEST => (Kind::CancelRequest, length >= 16),
            _ => (Kind::Startup, true),
        };
        if !fits {
            return Err(Malformed::RequestLength { kind, length });
        }
        Ok(Some(self.begin(kind, u64::from(length))))
    }

    fn message<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Malformed> {
        let side = self.side;
        self.held.fill(1, input);
        let tag = self.held.bytes[0];
        let known = if side == Side::Frontend { FRONTEND } else { BACKEND };
        if !known.contains(&tag) {
            return Err(Malformed::UnknownMessage { side, tag });
        }
        if !self.held.fill(5, input) {
            return Ok(None);
        }
        let (kind, length) = (Kind::Message(tag), self.held.number(1));
        let (least, most) = lengths(side, tag);
        if !(least..=most).contains(&length) {
            return Err(Malformed::MessageLength { side, kind, length, least, most });
        }
        Ok(Some(self.begin(kind, u64::from(length) + 1)))
    }

    /// One byte, or the error message of a server that does not know the question.
    fn answer<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Piece<'b>>, Malformed> {
        self.asked -= 1;
        match input[0] {
            b'N' => {
                self.held.fill(1, input);
                Ok(Some(self.begin(Kind::EncryptionAnswer, 1)))
            }
            b'E' => self.message(input),
            answer => Err(Malformed::Encrypted { answer }),
        }
    }

    fn begin<'b>(&mut self, kind: Kind, size: u64) -> Piece<'b> {
        let head = std::mem::take(&mut self.held);
        let frame = Frame { kind, size, lead: [0; Frame::LEAD] };
        self.step = Step::Body { frame, seen: head_of(kind) };
        Piece::Begin(kind, head)
    }
}

const fn head_of(kind: Kind) -> u64 {
    match kind {
        Kind::EncryptionAnswer => 1,
        Kind::Message(_) => 5,
        _ => 8,
    }
}

const fn after(kind: Kind) -> Step {
    match kind {
        Kind::SslRequest | Kind::GssRequest => Step::Packet,
        Kind::CancelRequest => Step::Over,
        _ => Step::Message,
    }
}

/// The least and the most that such a message's length may say.
const fn lengths(side: Side, tag: u8) -> (u32, u32) {
    match (side, tag) {
        // Sync, Flush, Terminate and CopyDone; and the server's short words.
        (Side::Frontend, b'S' | b'H' | b'X' | b'c') => (4, 4),
        (Side::Backend, b'1' | b'2' | b'3' | b'I' | b'c' | b'n' | b's') => (4, 4),
        (Side::Backend, b'Z') => (5, 5),
        (Side::Backend, b'K') => (12, 264),
        (Side::Backend, b'R') => (8, MOST_MESSAGE),
        _ => (4, MOST_MESSAGE),
    }
}
