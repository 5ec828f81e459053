//! What clients that are slow on purpose do to the shop.

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::{
    client::Http,
    process::{LIMIT, Shop, home, service},
    serve::filled,
};

/// The same program, in a shell that has limited its open files.
fn with_open_files(limit: u32, command: &Command) -> Command {
    let command = command.as_std();
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args()).kill_on_drop(true);
    limited.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    limited.stderr(std::process::Stdio::piped());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

async fn crowd(address: &str, count: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    crowd
}

#[tokio::test]
async fn more_silent_clients_than_open_files_take_neither_the_shop_nor_its_probes_away() {
    let (home, database) = (home(), filled().await);
    // Nobody is ended for being slow meanwhile.
    let settings = [("FOREBAY_HTTP_HEAD_MS", "3600000")];
    let command = service(home.path(), "catalog", database.url(), &settings);
    let shop = Shop::start(home.path(), with_open_files(256, &command)).await;
    let silent = (crowd(&shop.address, 400).await, crowd(&shop.admin_address, 100).await);
    for _ in 0..3 {
        // A connection of its own each time.
        let (http, admin) = (Http::new(&shop.address), Http::new(&shop.admin_address));
        let (status, page) = http.text("/v1/products?limit=1").await.expect("products are served");
        assert_eq!(status, 200, "{page}");
        for probe in ["/livez", "/readyz"] {
            assert_eq!(admin.text(probe).await.expect("probes are answered").0, 200, "{probe}");
        }
    }
    let (_, metrics) = shop.admin.text("/metrics").await.unwrap();
    assert!(metrics.contains("http_server_connections_closed_total{listener=\"public\",reason=\"displaced\"}"));
    drop(silent);
}

#[tokio::test]
async fn half_open_clients_do_not_delay_a_stop() {
    let (home, database) = (home(), filled().await);
    // Without an end that is noticed, the stop would take longer than this test may.
    let hours = "3600000";
    let settings = [
        ("FOREBAY_DRAIN_MS", hours),
        ("FOREBAY_HTTP_HEAD_MS", hours),
        ("FOREBAY_HTTP_BODY_MS", hours),
        ("FOREBAY_HTTP_IDLE_MS", hours),
        ("FOREBAY_DEADLINE_NORMAL_MS", hours),
    ];
    let shop = Shop::start(home.path(), service(home.path(), "auth", database.url(), &settings)).await;
    let half_head = "GET /v1/products HTTP/1.1\r\nHost: x\r\n";
    let half_body =
        "POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let idle = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut clients = Vec::new();
    for begun in ["", half_head, half_body, idle] {
        for address in [&shop.address, &shop.admin_address] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(begun.as_bytes()).await.unwrap();
            clients.push(client);
        }
    }
    let idle = &mut clients[6];
    let answer = tokio::time::timeout(LIMIT, idle.read_u8()).await.unwrap();
    assert_eq!(answer.unwrap(), b'H');
    shop.send(Signal::TERM);
    let (status, said) = shop.ended().await;
    assert!(status.success() && said.ends_with("\nstopped\n"), "{said}");
}
