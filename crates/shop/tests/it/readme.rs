//! The README's curl lines, in order, against the started binary; and those that it answers to `curl` itself.

use std::process::{Command, Stdio};

use crate::process::{Shop, home};

const README: &str = include_str!("../../../../README.md");

/// The one block of shell in the README.
fn block() -> String {
    let (_, rest) = README.split_once("\n```sh\n").expect("the README has a block of shell");
    let (block, rest) = rest.split_once("\n```\n").unwrap();
    assert!(!rest.contains("\n```sh\n"), "one block only: all of it is tested");
    block.to_owned()
}

#[tokio::test]
async fn the_curl_lines_work_in_order() {
    assert!(
        Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()),
        "curl is needed for this test: `bin/test` installs it, or apt-get install curl"
    );
    let home = home();
    let shop = Shop::open(home.path(), &[]).await;
    lines_work(&shop).await;
    shop.send(rustix::process::Signal::TERM);
    assert!(shop.ended().await.0.success());
}

/// The lines against this shop, each of which has to do what the README says.
pub(crate) async fn lines_work(shop: &Shop) {
    let block = block();
    assert!(block.contains("http://127.0.0.1:8080"), "the usual address is in the block");
    let script = block.replace("http://127.0.0.1:8080", &format!("http://{}", shop.address));
    let mut sh = tokio::process::Command::new("sh");
    // `-e` ends it at the first line that fails, `-f` of curl makes a status from 400 on a failure.
    let said = sh.args(["-e", "-c", &script]).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}\n{script}");
    for part in ["\"next_cursor\"", "\"SKU-000001\"", "\"status\":\"paid\"", "\"payments\""] {
        assert!(out.contains(part), "{part} is missing in:\n{out}");
    }
}

#[tokio::test]
async fn what_curl_is_told_at_the_root_is_a_script_that_buys() {
    let home = home();
    let shop = Shop::open(home.path(), &[]).await;
    let mut sh = tokio::process::Command::new("sh");
    let said = sh.args(["-c", &format!("curl -sf http://{} | sh -e", shop.address)]).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && out.contains("\"status\":\"paid\""), "{out}\n{err}");
    shop.send(rustix::process::Signal::TERM);
    assert!(shop.ended().await.0.success());
}
