//! The resident memory of the whole process stays within the memory limit, not only the sum in the relay's metrics.

use crate::{
    load::{self, Sink},
    support::{Answer, Relay, Upstream, client::noise, nightly},
};

const MIB: u64 = 1024 * 1024;
const LIMIT: u64 = 64 * MIB;

/// Memory that a connection may take besides its bodies, in bytes: buffers on both sides of the relay.
const PER_CONNECTION: u64 = 160 * 1024;

/// Memory of the program itself, the runtime and the allocator's slack, in bytes.
const FIXED: u64 = 16 * MIB;

/// The profiles that clients send at the same time.
struct Load {
    clients: usize,
    profiles: u64,
    /// Length of a body, in bytes.
    length: usize,
    /// Bytes that a debug build may take above the bound, where it comes near: its code takes 9 MiB more, and its
    /// futures take more for each connection.
    debug: u64,
}

const MANY: Load = Load {
    clients: 64,
    profiles: 2_000,
    length: 200_000,
    debug: 0,
};

/// More bytes at once than the limit has room for. `make bench-ci` checks the release build against the promised bound.
const LARGE: Load = Load {
    clients: 96,
    profiles: 1_000,
    length: 1_000_000,
    debug: 16 * MIB,
};

#[test]
fn a_target_that_hangs_under_load_does_not_cost_more_memory_than_the_limit() {
    under_load("hanging", Answer::never(), &MANY);
}

#[test]
fn a_target_that_reads_nothing_under_load_does_not_cost_more_memory_than_the_limit() {
    under_load("deaf", Answer::deaf(), &MANY);
}

#[test]
fn many_large_uploads_at_once_do_not_cost_more_memory_than_the_limit() {
    under_load("flooded", Answer::never(), &LARGE);
}

fn under_load(what: &str, answer: Answer, load: &Load) {
    let Load {
        length,
        clients,
        debug,
        ..
    } = *load;
    let profiles = load.profiles * if nightly() { 5 } else { 1 };
    let (local, target) = (Sink::ok(), Upstream::answering(answer));
    let relay = Relay::builder()
        .yaml("memory-limit: 64MiB")
        .upstream_address(&local.url())
        .target("stuck", &target, &["timeout: 5m", "queue-size: 100000"])
        .spawn();
    let idle = relay.rss_peak();
    let request = load::upload("load", &noise(length));
    let count = usize::try_from(profiles).unwrap();
    let failed = load::push(relay.addr(), clients, count, |_| request.clone());
    assert_eq!(failed, Vec::<String>::new());

    let metrics = relay.metrics();
    let ledger = metrics.ledger("stuck");
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.accepted.profiles, profiles);
    assert_eq!(ledger.accepted.bytes, profiles * length as u64);
    let lost = ledger.dropped("budget").profiles + ledger.dropped("queue_full").profiles;
    assert!(lost > profiles / 2, "{ledger:?}");
    assert_eq!(lost, ledger.lost().profiles, "{ledger:?}");

    let peak = relay.rss_peak();
    let bound = LIMIT * 115 / 100 + FIXED + PER_CONNECTION * clients as u64 + debug;
    eprintln!(
        "{what}: peak {} of {} KiB allowed after {profiles} profiles; {} KiB idle, {} KiB pending",
        peak / 1024,
        bound / 1024,
        idle / 1024,
        ledger.pending.bytes / 1024,
    );
    let books = metrics.sum("pyroscope_relay_memory_bytes", &[]);
    assert!(
        peak <= bound,
        "{} KiB over the bound; the books say {books} B, the ledger {ledger:?}",
        (peak - bound) / 1024
    );
}
