//! `shop health`: asks the process that serves on this machine how it is. A container has no other client in it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// For all of it: the connection, the last byte.
const LIMIT: Duration = Duration::from_secs(2);
/// More than `/readyz` ever says.
const MAX_SIZE: u64 = 64 * 1024;

/// What the admin listener answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `ready`, `unready` or `draining`.
    pub status: String,
    /// Why the database could not be reached when it was looked at last.
    pub last_error: Option<String>,
}

/// Why nothing is known of its health.
#[derive(Debug, thiserror::Error)]
#[error("no answer from http://{at}/readyz: {source}")]
pub struct NoAnswer {
    at: SocketAddr,
    source: io::Error,
}

#[derive(Deserialize)]
struct Body {
    status: String,
    database: DatabaseBody,
}

#[derive(Deserialize)]
struct DatabaseBody {
    last_error: Option<String>,
}

impl Health {
    /// Asks the admin listener at `admin`; an address that stands for all of this machine's is asked over loopback. Takes
    /// two seconds at most.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`], also where something else answers there.
    pub async fn ask(admin: SocketAddr) -> Result<Self, NoAnswer> {
        let at = SocketAddr::new(reachable(admin.ip()), admin.port());
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("nothing within {} s", LIMIT.as_secs()));
        let answer = timeout(LIMIT, exchange(at)).await.unwrap_or_else(|_elapsed| Err(late()));
        answer.and_then(|answer| Self::read(&answer)).map_err(|source| NoAnswer { at, source })
    }

    /// Whether this process should get traffic.
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }

    fn read(answer: &[u8]) -> io::Result<Self> {
        let other = || io::Error::new(io::ErrorKind::InvalidData, "what answers there is no shop");
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(other)?;
        let body: Body = serde_json::from_slice(&answer[head + 4..]).map_err(|_not_ours| other())?;
        Ok(Self { status: body.status, last_error: body.database.last_error })
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.status)?;
        match &self.last_error {
            Some(error) if !self.is_ready() => write!(f, ": {error}"),
            _ => Ok(()),
        }
    }
}

pub(crate) fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}

/// HTTP/1.0, so that the answer ends with its connection.
async fn exchange(at: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {at}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_SIZE).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of such an answer.
    async fn asked(answer: &'static str) -> Result<Health, NoAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = client.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            client.write_all(answer.as_bytes()).await.unwrap();
        });
        let health = Health::ask(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port())).await;
        server.await.unwrap();
        health
    }

    #[tokio::test]
    async fn the_status_is_shown_and_what_is_wrong_if_it_is_not_ready() {
        let ready = "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ready\",\"database\":{\"last_error\":\"a hiccup\"}}";
        let health = asked(ready).await.unwrap();
        assert!(health.is_ready());
        assert_eq!(health.to_string(), "ready");
        let unready =
            "HTTP/1.0 503 X\r\n\r\n{\"status\":\"unready\",\"database\":{\"last_error\":\"refused\"},\"pool\":{}}";
        let health = asked(unready).await.unwrap();
        assert!(!health.is_ready());
        assert_eq!(health.to_string(), "unready: refused");
    }

    #[tokio::test]
    async fn what_is_no_shop_is_not_healthy() {
        for answer in ["", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 404 X\r\n\r\n{}", "SSH-2.0\r\n"] {
            let error = asked(answer).await.unwrap_err().to_string();
            assert!(error.contains("/readyz") && error.contains("no shop"), "{error}");
        }
    }

    /// What is said of a listener at `loopback` that never answers, asked at `all`.
    async fn silence(loopback: IpAddr, all: IpAddr) -> io::Result<String> {
        let listener = TcpListener::bind((loopback, 0)).await?;
        let at = listener.local_addr()?;
        Ok(Health::ask(SocketAddr::new(all, at.port())).await.unwrap_err().to_string())
    }

    #[tokio::test]
    async fn silence_ends_after_the_limit() {
        let said = silence(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()).await.unwrap();
        assert!(said.contains("http://127.0.0.1:") && said.contains("nothing within 2 s"), "{said}");
    }

    #[tokio::test]
    async fn silence_ends_over_ipv6_too_on_a_machine_that_has_it() {
        if let Ok(said) = silence(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()).await {
            assert!(said.contains("http://[::1]:") && said.contains("nothing within 2 s"), "{said}");
        }
    }

    #[test]
    fn an_address_that_stands_for_all_is_asked_over_loopback_of_its_kind() {
        for (given, asked) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7"), ("fe80::7", "fe80::7")]
        {
            assert_eq!(reachable(given.parse().unwrap()), asked.parse::<IpAddr>().unwrap(), "{given}");
        }
    }
}
