use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::Shared;
use super::connection::Connection;
use super::socket::{Reader, Writer};
use crate::fault::error_message;
use crate::{Flow, Kind, Malformed, Piece, Side};

/// The most that is held of one direction.
const CHUNK: usize = 16 * 1024;

/// Why a connection ends, other than by both sides having closed.
#[derive(Debug)]
pub(super) enum Stopped {
    /// A socket failed.
    Socket,
    /// What came was no frame.
    Malformed(Malformed),
    /// Bytes were swallowed, and now others would follow.
    Lost,
    /// From outside; whether by a reset.
    Told(bool),
}

/// Carries what `from` sends until it ends.
pub(super) async fn pump(
    connection: &Connection,
    shared: &Shared,
    from: Side,
    mut reader: Reader<'_>,
    mut writer: Writer<'_>,
) -> Result<(), Stopped> {
    let mut flow = connection.flow(from);
    let mut chunk = vec![0; CHUNK];
    let mut out = Vec::with_capacity(CHUNK);
    let mut lost = false;
    loop {
        let read = tokio::select! {
            read = read_when_flowing(&mut flow, &mut reader, &mut chunk) => read,
            () = passing_again(connection.flow(from)), if lost => return Err(Stopped::Lost),
        }?;
        if read == 0 && from == Side::Frontend {
            connection.client_left(shared);
        }
        out.clear();
        translate(connection, from, &chunk[..read], &mut out)?;
        if connection.record().session.is_ready() {
            connection.shaken(shared);
        }
        // It may have changed while the bytes came in: what is frozen now waits here.
        let now = thawed(&mut flow).await;
        if now == Flow::Swallow {
            lost = true;
            if read == 0 {
                passing_again(flow).await;
                return Err(Stopped::Lost);
            }
            continue;
        }
        if read == 0 {
            return writer.shutdown().await.map_err(|_error| Stopped::Socket);
        }
        writer.write_all(&out).await.map_err(|_error| Stopped::Socket)?;
    }
}

async fn read_when_flowing(
    flow: &mut watch::Receiver<Flow>,
    reader: &mut Reader<'_>,
    chunk: &mut [u8],
) -> Result<usize, Stopped> {
    loop {
        thawed(flow).await;
        tokio::select! {
            biased;
            _changed = flow.changed() => {}
            read = reader.read(chunk) => return read.map_err(|_error| Stopped::Socket),
        }
    }
}

/// The flow, once it is not frozen. Its sender lives as long as the connection.
async fn thawed(flow: &mut watch::Receiver<Flow>) -> Flow {
    match flow.wait_for(|flow| *flow != Flow::Freeze).await {
        Ok(flow) => *flow,
        Err(_closed) => Flow::Pass,
    }
}

async fn passing_again(mut flow: watch::Receiver<Flow>) {
    // As above.
    _ = flow.wait_for(|flow| *flow != Flow::Swallow).await;
}

/// Reads the frames of a chunk and writes out what is to go on, with what is put between them.
fn translate(connection: &Connection, from: Side, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Stopped> {
    let mut record = connection.record();
    while let Some(piece) = record.session.read(from, &mut input).map_err(Stopped::Malformed)? {
        match piece {
            Piece::Begin(kind, head) => {
                let end_of_answer = from == Side::Backend && kind == Kind::Message(b'Z') && record.session.is_ready();
                if end_of_answer && record.late_errors > 0 {
                    record.late_errors -= 1;
                    out.extend(error_message("ERROR", "57014", "canceling statement due to user request"));
                }
                out.extend_from_slice(head.bytes());
            }
            Piece::Body(body) => out.extend_from_slice(body),
            Piece::End(_) => {}
        }
    }
    Ok(())
}
