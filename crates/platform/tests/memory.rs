//! What the quotas of a million clients keep of this process's memory. In a program of its own: others' tests would be
//! counted.

use std::net::Ipv4Addr;

use forebay_platform::client::Client;
use forebay_platform::quota::{Quota, Quotas};

const NAMES: [&str; 5] = ["register", "login", "refresh", "carts", "orders"];
const CLIENTS: u32 = 1_000_000;
const MIB: usize = 1 << 20;

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("how much is there");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kib.expect("a number") * 1_024
}

#[test]
fn a_million_clients_of_five_quotas_take_at_most_64_mib() {
    let quotas = Quotas::new(NAMES.map(|name| (name, Quota::per_minute(60))));
    let before = resident();
    for number in 0..CLIENTS {
        let client = Client::of(Ipv4Addr::from_bits(number).into());
        for name in NAMES {
            quotas.spend(name, client).expect("this is its first request");
        }
    }
    let taken = resident().saturating_sub(before);
    eprintln!("a million clients of five quotas take {} MiB", taken / MIB);
    assert!(taken <= 64 * MIB, "{taken} bytes");
}
