//! One connection, from its first byte to its last.

use std::{
    future::{Future as _, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::Router;
use http::StatusCode;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Limits, exchange,
    io::Io,
    refusal,
    state::{Phase, State},
};
use crate::problem::Problem;

/// A client has so long to hear the last answer. Who closes while bytes of the client's are unread takes the answer away from
/// it: the system resets the connection.
const LINGER: Duration = Duration::from_secs(1);
/// So much of what a client goes on sending is thrown away meanwhile.
const LINGER_BYTES: u64 = 256 * 1024;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) http: http1::Builder,
    /// An answer is the last of its connection from now on.
    pub(super) draining: AtomicBool,
}

impl Shared {
    pub(super) fn new(router: Router, limits: Limits) -> Self {
        let mut http = http1::Builder::new();
        let head_bytes = limits.head_bytes.max(Limits::SMALLEST_HEAD);
        http.max_buf_size(head_bytes).max_header_size(head_bytes);
        Self { router, limits, http, draining: AtomicBool::new(false) }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The client or an answer ended it.
    Done,
    Silent,
    Idle,
    SlowHead,
    SlowBody,
    SlowReader,
    Malformed,
    Displaced,
    Refused,
    Drained,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::SlowHead => "slow_head",
            Self::SlowBody => "slow_body",
            Self::SlowReader => "slow_reader",
            Self::Malformed => "malformed",
            Self::Displaced => "displaced",
            Self::Refused => "refused",
            Self::Drained => "drained",
        }
    }
}

/// How hyper's part ended.
enum End {
    Finished(hyper::Result<()>),
    /// The client has used up the time of this phase.
    Overdue(Phase),
}

/// Serves one connection to its end. Dropping the future closes it.
pub(super) async fn run(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, state: Arc<State>) -> Reason {
    // A connection whose options cannot be set is about to fail by itself.
    _ = stream.set_nodelay(true);
    // Nothing is kept for a client that says nothing: hyper would make buffers. (A new socket is `readable` before it is.)
    match timeout(shared.limits.head, stream.peek(&mut [0])).await {
        Ok(Ok(_)) => Box::pin(serve(stream, peer, shared, state)).await,
        Ok(Err(_)) => Reason::Done,
        Err(_elapsed) => Reason::Silent,
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, state: Arc<State>) -> Reason {
    let service = service_fn({
        let (router, state) = (shared.router.clone(), Arc::clone(&state));
        move |request| exchange::answer(request, peer, router.clone(), Arc::clone(&state))
    });
    let io = TokioIo::new(Io::new(stream, Arc::clone(&state)));
    let mut connection = shared.http.serve_connection(io, service);
    let mut alarm = pin!(sleep_until(state.due(&shared.limits).unwrap_or_else(Instant::now)));
    let mut last_answer = false;
    let end = poll_fn(|cx| {
        if !last_answer && shared.draining.load(Ordering::Acquire) {
            last_answer = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(finished) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(End::Finished(finished));
        }
        // The alarm is only brought forward; it is put back when it rings. So a busy connection hardly touches it.
        loop {
            let (phase, due) = (state.phase(), state.due(&shared.limits));
            if let Some(due) = due.filter(|due| *due < alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            match due {
                Some(due) if due <= now => return Poll::Ready(End::Overdue(phase)),
                _ => alarm.as_mut().reset(due.unwrap_or(now + shared.limits.idle)),
            }
        }
    })
    .await;
    let parts = connection.into_parts();
    let (stream, refused) = parts.io.into_inner().into_parts();
    let (reason, last_word) = conclude(&end, refused, &parts.read_buf, shared.limits.head_bytes);
    state.closing();
    if reason == Reason::SlowReader {
        // What it does not take would stay in the system's buffers for minutes.
        _ = stream.set_zero_linger();
    } else {
        _ = timeout(LINGER, close(stream, last_word)).await;
    }
    reason
}

/// Why it ended, and what is still to be said.
fn conclude(end: &End, refused: Option<StatusCode>, unread: &[u8], head_bytes: usize) -> (Reason, Option<Problem>) {
    let malformed = |status| (Reason::Malformed, Some(refusal::of_head(status, unread, head_bytes)));
    match (end, refused) {
        (End::Finished(_), Some(status)) => malformed(status),
        (End::Finished(Err(error)), None) if error.is_parse() => malformed(StatusCode::BAD_REQUEST),
        (End::Finished(_), None) => (Reason::Done, None),
        (End::Overdue(Phase::Head), _) => (Reason::SlowHead, Some(refusal::too_slow("head"))),
        (End::Overdue(Phase::Body), _) => (Reason::SlowBody, Some(refusal::too_slow("body"))),
        (End::Overdue(Phase::Answer), _) => (Reason::SlowReader, None),
        (End::Overdue(Phase::Silent), _) => (Reason::Silent, None),
        (End::Overdue(_), _) => (Reason::Idle, None),
    }
}

/// Says the last word and lets the client hear it.
async fn close(mut stream: TcpStream, last_word: Option<Problem>) -> std::io::Result<()> {
    if let Some(problem) = last_word {
        stream.write_all(&refusal::bytes(&problem)).await?;
    }
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}
