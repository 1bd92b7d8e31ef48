//! Measures the cost of putting tags into a Push of 200 KB (packed) against sending it untouched: CPU time of the relay
//! per request, with three targets. Run by `make bench-parts`.
//!
//! The relay is the real binary, and the kernel reports its CPU time. The client and the targets run in another
//! process. The variants run in turn, so that noise affects all of them alike.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not the product"
)]

#[path = "../e2e/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use support::{Client, Relay, Request, Upstream};

const PACKED: usize = 200_000;
const REQUESTS: u64 = 200;
const ROUNDS: usize = 5;

/// One variant: the tags of each of the three targets.
const VARIANTS: [(&str, [&str; 3]); 4] = [
    ("untouched", ["", "", ""]),
    ("one target with tags", ["tags: { region: eu }", "", ""]),
    (
        "three targets, one set of tags",
        [
            "tags: { region: eu }",
            "tags: { region: eu }",
            "tags: { region: eu }",
        ],
    ),
    (
        "three targets, two sets of tags",
        [
            "tags: { region: eu }",
            "tags: { region: eu }",
            "tags: { region: us }",
        ],
    ),
];

fn main() {
    let body = push();
    println!(
        "Push of {} bytes packed, 3 targets, {REQUESTS} requests a round",
        body.len()
    );
    let mut costs = vec![Vec::new(); VARIANTS.len()];
    for _ in 0..ROUNDS {
        for (costs, (_, tags)) in costs.iter_mut().zip(VARIANTS) {
            costs.push(cost(&body, tags));
        }
    }
    println!(
        "\n| variant | CPU per request, median | [min..max] | beside untouched |\n|---|---|---|---|"
    );
    let median = |costs: &[f64]| costs[costs.len() / 2];
    for costs in &mut costs {
        costs.sort_by(f64::total_cmp);
    }
    let untouched = median(&costs[0]);
    for ((name, _), costs) in VARIANTS.iter().zip(&costs) {
        let (min, max) = (costs[0], costs[costs.len() - 1]);
        let (cost, ratio) = (median(costs), median(costs) / untouched);
        println!("| {name} | {cost:.2} ms | [{min:.2}..{max:.2}] | {ratio:.1} x |");
    }
}

/// CPU of the relay for one request, in milliseconds.
fn cost(body: &[u8], tags: [&str; 3]) -> f64 {
    let upstream = Upstream::ok();
    let targets = [Upstream::ok(), Upstream::ok(), Upstream::ok()];
    let mut builder = Relay::builder().upstream(&upstream);
    for (number, (target, tags)) in targets.iter().zip(tags).enumerate() {
        let options: &[&str] = &["queue-size: 1000", tags];
        let options: Vec<_> = options
            .iter()
            .copied()
            .filter(|line| !line.is_empty())
            .collect();
        builder = builder.target(&format!("t{number}"), target, &options);
    }
    let relay = builder.spawn();
    let request = Request::post("/push.v1.PusherService/Push", body)
        .field("Content-Type", "application/proto")
        .field("Content-Encoding", "gzip");
    let mut client = Client::connect(relay.addr());
    assert_eq!(client.exchange(&request).status(), 200, "warm-up");
    wait(&relay, 1);
    let before = cpu(relay.pid());
    for _ in 0..REQUESTS {
        assert_eq!(client.exchange(&request).status(), 200);
    }
    wait(&relay, 1 + REQUESTS);
    (cpu(relay.pid()) - before) / REQUESTS as f64
}

/// Waits until every target has received `profiles`. Panics if a profile is lost.
fn wait(relay: &Relay, profiles: u64) {
    for number in 0..3 {
        let name = format!("t{number}");
        let ledger = relay.wait_ledger(&name, "deliveries", |ledger| {
            ledger.sent.profiles + ledger.lost().profiles == profiles
        });
        assert_eq!(ledger.sent.profiles, profiles, "{ledger:?}");
    }
}

/// User and system time of a process, in milliseconds (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    let a_tick = Duration::from_millis(10);
    ticks as f64 * a_tick.as_secs_f64() * 1_000.0
}

/// A `PushRequest` of one series whose profile packs to about [`PACKED`] bytes. Like real profiles it packs to a third
/// of its size.
fn push() -> Vec<u8> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 16).to_be_bytes()
    };
    let mut profile = Vec::new();
    while profile.len() < PACKED * 7 / 2 {
        profile.extend_from_slice(b"github.com/example/service.");
        profile.extend_from_slice(&noise()[2..]);
        profile.extend_from_slice(&noise()[2..]);
        profile.extend_from_slice(b".func1\x12\x04\x08\x01");
    }
    let label = field(1, &[field(1, b"service_name"), field(2, b"bench")].concat());
    let sample = field(2, &field(1, &profile));
    let message = field(1, &[label, sample].concat());
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&message).unwrap();
    packed.finish().unwrap()
}

/// A length-delimited field of protobuf.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend_from_slice(bytes);
    field
}
