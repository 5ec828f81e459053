//! The pool of a shop that runs, as its admin listener tells it.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// For all of it: the connection, the last byte.
const LIMIT: Duration = Duration::from_secs(5);
/// More than `/pool` ever says.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// What of `/pool` is advised on.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Seen {
    #[serde(skip)]
    pub(super) at: String,
    pub(super) kind: String,
    pub(super) age_ms: f64,
    pub(super) ceiling: u32,
    pub(super) call_sites: Vec<Site>,
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Site {
    pub(super) site: String,
    pub(super) leases: u64,
    pub(super) held_ms: f64,
    pub(super) idle_ms: f64,
    pub(super) longest_ms: f64,
    pub(super) taken_back: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Statement {
    pub(super) summary: String,
    pub(super) calls: u64,
    pub(super) failed: BTreeMap<String, u64>,
    pub(super) took_ms: f64,
    pub(super) longest_ms: f64,
}

impl Seen {
    /// Asks for it. What is wrong is said with what to do.
    pub(super) async fn ask(admin: SocketAddr, token: Option<&SecretString>) -> Result<Self, String> {
        let at = super::reachable(admin);
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {} s", LIMIT.as_secs()));
        let answer = timeout(LIMIT, exchange(at, token)).await.unwrap_or_else(|_elapsed| Err(late()));
        let answer = answer.map_err(|error| {
            format!(
                "no shop answers at http://{at}/pool ({error}): start it, or name the admin listener of one that runs \
                 with FOREBAY_ADMIN"
            )
        })?;
        Self::read(at, &answer)
    }

    fn read(at: SocketAddr, answer: &[u8]) -> Result<Self, String> {
        let other =
            || format!("what answers at http://{at}/pool is no shop of this version: name another with FOREBAY_ADMIN");
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(other)?;
        let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if status == b"401" {
            return Err(format!(
                "the shop at http://{at}/pool wants a token: set FOREBAY_ADMIN_TOKEN to one of those that it was started with"
            ));
        }
        let seen: Self = serde_json::from_slice(&answer[head + 4..]).map_err(|_not_ours| other())?;
        Ok(Self { at: format!("http://{at}"), ..seen })
    }
}

/// HTTP/1.0, so that the answer ends with its connection.
async fn exchange(at: SocketAddr, token: Option<&SecretString>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await?;
    let shown = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose_secret())).unwrap_or_default();
    stream.write_all(format!("GET /pool HTTP/1.0\r\nHost: {at}\r\n{shown}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_SIZE).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_shop_or_wants_a_token_is_said_with_what_to_do() {
        let at: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let said = |answer: &str| Seen::read(at, answer.as_bytes()).unwrap_err();
        for answer in ["", "SSH-2.0\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 404 X\r\n\r\n{}"] {
            assert!(said(answer).contains("no shop") && said(answer).contains("FOREBAY_ADMIN"), "{answer}");
        }
        assert!(said("HTTP/1.0 401 Unauthorized\r\n\r\n{}").contains("FOREBAY_ADMIN_TOKEN"));
    }
}
