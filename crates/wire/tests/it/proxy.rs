//! A server that says it is ready to every message, so that the proxy can be seen without a Postgres.

use std::io::{self, ErrorKind};
use std::time::Duration;

use forebay_wire::{Dials, Flow, Kind, Malformed, Proxy, Side, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

const STARTUP: [u8; 9] = [0, 0, 0, 9, 0, 3, 0, 0, 0];
const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];
const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];

/// Answers the startup packet and every `Sync` with `ReadyForQuery`.
async fn server() -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Upstream::Tcp(address)
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    stream.read_exact(&mut buffer[..STARTUP.len()]).await?;
    stream.write_all(&READY).await?;
    loop {
        stream.read_exact(&mut buffer[..SYNC.len()]).await?;
        stream.write_all(&READY).await?;
    }
}

async fn proxy() -> Proxy {
    Proxy::tcp(server().await).await.expect("a free port")
}

async fn dial(proxy: &Proxy) -> io::Result<TcpStream> {
    TcpStream::connect(("127.0.0.1", proxy.port())).await
}

async fn ask(stream: &mut TcpStream, question: &[u8]) -> io::Result<[u8; 6]> {
    let mut said = [0; 6];
    stream.write_all(question).await?;
    stream.read_exact(&mut said).await?;
    Ok(said)
}

async fn session(proxy: &Proxy) -> TcpStream {
    let mut stream = dial(proxy).await.expect("it listens");
    assert_eq!(ask(&mut stream, &STARTUP).await.expect("the server answers"), READY);
    stream
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let polls = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), polls).await.is_ok(), "still not so: {what}");
}

#[tokio::test]
async fn it_counts_per_connection_and_in_total_also_when_they_have_ended() {
    let proxy = proxy().await;
    let mut first = session(&proxy).await;
    let _second = session(&proxy).await;
    for _ in 0..3 {
        ask(&mut first, &SYNC).await.unwrap();
    }
    let handle = proxy.connections()[0].clone();
    assert_eq!((handle.counts().round_trips, handle.counts().messages(Side::Frontend, b'S')), (3, 3));
    drop(first);
    until("the first has ended", || proxy.connections().len() == 1).await;
    let total = proxy.counts();
    assert_eq!((total.dials, total.ready, total.round_trips), (2, 2, 3));
    assert_eq!(total.frames(Side::Frontend, Kind::Startup), 2);
    assert_eq!((handle.is_open(), handle.counts().round_trips), (false, 3));
    assert_eq!((proxy.most_connections_at_once(), proxy.most_dials_at_once()), (2, 1));
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_hang_up_is_an_end() {
    let proxy = proxy().await;
    let mut stream = session(&proxy).await;
    proxy.connections()[0].reset();
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    until("it is gone", || proxy.connections().is_empty()).await;
    let mut stream = session(&proxy).await;
    proxy.connections()[0].hang_up();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_frozen_arrives_when_it_thaws() {
    let proxy = proxy().await;
    for side in [Side::Frontend, Side::Backend] {
        let mut stream = session(&proxy).await;
        proxy.set_flow(side, Flow::Freeze);
        stream.write_all(&SYNC).await.unwrap();
        let mut said = [0; 6];
        let answer = stream.read_exact(&mut said);
        assert!(tokio::time::timeout(Duration::from_millis(50), answer).await.is_err());
        proxy.set_flow(side, Flow::Pass);
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(said, READY);
    }
}

#[tokio::test]
async fn a_black_hole_swallows_also_the_end_and_resets_when_it_closes() {
    let proxy = proxy().await;
    let mut stream = session(&proxy).await;
    let connection = proxy.connections()[0].clone();
    connection.set_flow(Side::Frontend, Flow::Swallow);
    stream.write_all(&SYNC).await.unwrap();
    until("it was read", || connection.is_busy()).await;
    assert!(connection.is_open());
    connection.set_flow(Side::Frontend, Flow::Pass);
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(connection.counts().round_trips, 0);
    let untouched = session(&proxy).await;
    proxy.set_flows(Flow::Swallow);
    proxy.set_flows(Flow::Pass);
    drop(untouched);
    until("nothing was lost, so it ended by itself", || proxy.connections().is_empty()).await;
}

#[tokio::test]
async fn dials_are_refused_by_the_system_and_the_port_stays_ours() {
    let proxy = proxy().await;
    for _ in 0..20 {
        proxy.set_dials(Dials::Refuse).await.unwrap();
        assert_eq!(dial(&proxy).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.set_dials(Dials::Forward).await.unwrap();
        session(&proxy).await;
    }
    assert_eq!(proxy.counts().dials, 20);
}

#[tokio::test]
async fn a_dial_can_be_reset_delayed_refused_by_code_or_left_without_an_answer() {
    let proxy = proxy().await;
    proxy.set_dials(Dials::Reset).await.unwrap();
    let mut stream = dial(&proxy).await.unwrap();
    let error = ask(&mut stream, &STARTUP).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");

    proxy.set_dials(Dials::NO_ROOM).await.unwrap();
    let mut stream = dial(&proxy).await.unwrap();
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&STARTUP).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert!(String::from_utf8_lossy(&said).contains("C53300"));

    proxy.set_dials(Dials::Silence).await.unwrap();
    let mut stream = dial(&proxy).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), ask(&mut stream, &STARTUP)).await.is_err());
    drop(stream);
    until("who gave up is forgotten", || proxy.connections().is_empty()).await;

    let delay = Duration::from_millis(100);
    proxy.set_dials(Dials::Delay(delay)).await.unwrap();
    let before = tokio::time::Instant::now();
    session(&proxy).await;
    assert!(before.elapsed() >= delay);
    let impatient = dial(&proxy).await.unwrap();
    drop(impatient);
    until("who gave up is forgotten", || proxy.connections().is_empty()).await;
}

#[tokio::test]
async fn a_late_error_comes_once_before_the_server_is_ready() {
    let proxy = proxy().await;
    let mut stream = session(&proxy).await;
    proxy.connections()[0].send_late_error();
    stream.write_all(&SYNC).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], b'E');
    let length = usize::from(head[4]) - 4;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("C57014"));
    let mut said = [0; 6];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, READY);
    assert_eq!(ask(&mut stream, &SYNC).await.unwrap(), READY);
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_their_connection_with_a_reason() {
    let proxy = proxy().await;
    let mut stream = session(&proxy).await;
    let connection = proxy.connections()[0].clone();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("the proxy ends this connection: the client sent a message of type 'G'"), "{said}");
    assert!(matches!(connection.malformed(), Some(Malformed::UnknownMessage { tag: b'G', .. })));
    session(&proxy).await;
}

#[tokio::test]
async fn a_body_larger_than_any_buffer_passes_whole() {
    let upstream = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut reader, mut writer) = stream.split();
            // What comes in goes back out: a CopyData is one in both directions.
            reader.read_exact(&mut [0; 9]).await.unwrap();
            tokio::io::copy(&mut reader, &mut writer).await
        });
        Upstream::Tcp(address)
    };
    let proxy = Proxy::tcp(upstream).await.unwrap();
    let mut stream = dial(&proxy).await.unwrap();
    let size: u32 = 8 << 20;
    let mut sent = [&STARTUP[..], b"d", &size.to_be_bytes()].concat();
    sent.extend((4..size).map(|n| n.to_le_bytes()[1]));
    let (mut reader, mut writer) = stream.split();
    let mut back = vec![0; sent.len() - STARTUP.len()];
    tokio::try_join!(writer.write_all(&sent), reader.read_exact(&mut back)).unwrap();
    assert!(back == sent[STARTUP.len()..]);
    assert_eq!(proxy.counts().messages(Side::Backend, b'd'), 1);
}

#[tokio::test]
async fn it_listens_on_a_unix_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".s.PGSQL.5432");
    let proxy = Proxy::unix(&path, server().await).await.unwrap();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let mut said = [0; 6];
    stream.write_all(&STARTUP).await.unwrap();
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, READY);
    proxy.connections()[0].hang_up();
    assert_eq!(stream.read(&mut said).await.unwrap(), 0);
    proxy.set_dials(Dials::Refuse).await.unwrap();
    assert_eq!(UnixStream::connect(&path).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    proxy.set_dials(Dials::Forward).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}
