use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::pump::{Stopped, pump};
use super::{Shared, Socket, Upstream, index};
use crate::fault::error_message;
use crate::{Counts, Dials, Flow, Malformed, Session, Side};

/// One connection through the proxy. It can be asked for its counts after it has ended too.
#[derive(Clone, Debug)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: u64,
    record: Mutex<Record>,
    flows: [watch::Sender<Flow>; 2],
    end: watch::Sender<Option<End>>,
    /// Whether the client has closed, as far as it was heard.
    left: watch::Sender<bool>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) session: Session,
    /// How many errors are to be put in before a `ReadyForQuery`.
    pub(super) late_errors: u32,
    /// Whether it still is on its way to its first `ReadyForQuery`.
    shaking: bool,
    open: bool,
    malformed: Option<Malformed>,
}

/// How a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reset,
    HangUp,
}

impl Connection {
    fn accept(shared: &Shared) -> Self {
        let mut state = shared.lock();
        state.accepted += 1;
        let record = Record { session: Session::new(), late_errors: 0, shaking: true, open: true, malformed: None };
        let flows = state.flows.map(watch::Sender::new);
        let (end, left) = (watch::Sender::new(None), watch::Sender::new(false));
        let inner = Inner { id: state.accepted, record: Mutex::new(record), flows, end, left };
        let connection = Self { inner: Arc::new(inner) };
        state.live.push(connection.clone());
        state.present += 1;
        state.most_present = state.most_present.max(state.present);
        state.shaking += 1;
        state.most_shaking = state.most_shaking.max(state.shaking);
        connection
    }

    /// Its number, from one on, in the order of dials.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// The process id of the server at its other end, once it has said so.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.record().session.pid()
    }

    /// What came by on it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.record().session.counts().clone()
    }

    /// Whether the client has asked something and the server is not ready again.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.record().session.is_busy()
    }

    /// Whether it lives.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.record().open
    }

    /// What it was ended for, if it sent what is no frame.
    #[must_use]
    pub fn malformed(&self) -> Option<Malformed> {
        self.record().malformed
    }

    /// Decides what happens to the bytes that `from` sends.
    pub fn set_flow(&self, from: Side, flow: Flow) {
        self.inner.flows[index(from)].send_replace(flow);
    }

    /// Ends it with a reset towards the client; the server sees a close.
    pub fn reset(&self) {
        self.inner.end.send_replace(Some(End::Reset));
    }

    /// Ends it with a polite close towards the client, without a word; the server sees a close too.
    pub fn hang_up(&self) {
        self.inner.end.send_replace(Some(End::HangUp));
    }

    /// Puts an error before the server's next `ReadyForQuery`, as a cancel does that arrives when the statement has
    /// given all its rows.
    pub fn send_late_error(&self) {
        self.record().late_errors += 1;
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.inner.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn flow(&self, from: Side) -> watch::Receiver<Flow> {
        self.inner.flows[index(from)].subscribe()
    }

    /// Notes that the handshake is over, once.
    pub(super) fn shaken(&self, shared: &Shared) {
        let was_shaking = std::mem::take(&mut self.record().shaking);
        if was_shaking {
            shared.lock().shaking -= 1;
        }
    }

    /// Notes that the client has closed, once: its connection may still be held here, but not by it.
    pub(super) fn client_left(&self, shared: &Shared) {
        self.shaken(shared);
        if !self.inner.left.send_replace(true) {
            shared.lock().present -= 1;
        }
    }

    async fn without_client(&self) {
        // The sender lives as long as the connection.
        _ = self.inner.left.subscribe().wait_for(|left| *left).await;
    }

    async fn ending(&self) -> End {
        let mut end = self.inner.end.subscribe();
        let end = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        end.unwrap_or(End::Reset)
    }
}

/// Takes a connection off the list, however its task ends.
struct Listed {
    connection: Connection,
    shared: Arc<Shared>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connection.client_left(&self.shared);
        let counts = {
            let mut record = self.connection.record();
            record.open = false;
            record.session.counts().clone()
        };
        let mut state = self.shared.lock();
        state.live.retain(|other| other.id() != self.connection.id());
        state.ended.add(&counts);
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, upstream: Arc<Upstream>, client: Socket, dials: Dials) {
    let listed = Listed { connection: Connection::accept(&shared), shared: Arc::clone(&shared) };
    let connection = &listed.connection;
    // Errors of sockets end a connection as they end it without a proxy: there is nobody else to tell.
    _ = match dials {
        Dials::Reset => {
            client.reset();
            Ok(())
        }
        Dials::Silence => listen_to(connection, client, None).await,
        Dials::Fail(code) => listen_to(connection, client, Some(code)).await,
        Dials::Forward | Dials::Refuse | Dials::Delay(_) => {
            forward(connection, &shared, &upstream, client, dials).await
        }
    };
}

async fn forward(
    connection: &Connection,
    shared: &Shared,
    upstream: &Upstream,
    mut client: Socket,
    dials: Dials,
) -> io::Result<()> {
    client.send_at_once()?;
    let mut server = match Socket::connect(upstream).await {
        Ok(server) => server,
        Err(error) => {
            // As near as one can get to a refused dial after one has accepted.
            client.reset();
            return Err(error);
        }
    };
    let delay = if let Dials::Delay(delay) = dials { delay } else { std::time::Duration::ZERO };
    let stopped = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let held_back = async {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = connection.without_client() => return Err(Stopped::Socket),
            }
            pump(connection, shared, Side::Backend, from_server, to_client).await
        };
        let asked = pump(connection, shared, Side::Frontend, from_client, to_server);
        tokio::select! {
            both = async { tokio::try_join!(asked, held_back) } => both.err(),
            end = connection.ending() => Some(Stopped::Told(end == End::Reset)),
        }
    };
    match stopped {
        Some(Stopped::Told(true) | Stopped::Lost) => client.reset(),
        Some(Stopped::Malformed(malformed)) => explain(connection, client, malformed).await?,
        Some(Stopped::Told(false) | Stopped::Socket) | None => {}
    }
    Ok(())
}

/// Tells the client why its connection ends, where a message may stand.
async fn explain(connection: &Connection, mut client: Socket, malformed: Malformed) -> io::Result<()> {
    let may_speak = {
        let mut record = connection.record();
        record.malformed = Some(malformed);
        record.session.is_between_frames(Side::Backend)
    };
    if may_speak {
        let text = format!("the proxy ends this connection: {malformed}");
        client.split().1.write_all(&error_message("FATAL", "08P01", &text)).await?;
    }
    Ok(())
}

/// Reads until the client has sent its startup packet and answers that; without an answer, until it leaves.
async fn listen_to(connection: &Connection, mut client: Socket, answer: Option<&str>) -> io::Result<()> {
    let told = tokio::select! {
        done = converse(connection, &mut client, answer) => return done,
        end = connection.ending() => end,
    };
    if told == End::Reset {
        client.reset();
    }
    Ok(())
}

async fn converse(connection: &Connection, client: &mut Socket, answer: Option<&str>) -> io::Result<()> {
    let (mut reader, mut writer) = client.split();
    let mut buffer = [0; 4096];
    loop {
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let (questions, started) = hear(connection, &buffer[..read])?;
        if let Some(code) = answer {
            writer.write_all(&b"N".repeat(questions)).await?;
            if started {
                writer.write_all(&error_message("FATAL", code, "the proxy was told to refuse this session")).await?;
                return writer.shutdown().await;
            }
        }
    }
}

/// How many questions for encryption there were among these bytes, and whether the startup packet ended in them.
fn hear(connection: &Connection, mut input: &[u8]) -> io::Result<(usize, bool)> {
    use crate::{Kind, Piece};
    let (mut questions, mut started) = (0, false);
    let mut record = connection.record();
    while let Some(piece) = record.session.read(Side::Frontend, &mut input).map_err(io::Error::other)? {
        match piece {
            Piece::End(frame) if matches!(frame.kind, Kind::SslRequest | Kind::GssRequest) => questions += 1,
            Piece::End(frame) if frame.kind == Kind::Startup => started = true,
            _ => {}
        }
    }
    Ok((questions, started))
}
