//! Measures the cost of the spool against the queue in memory, on the disk below `TMPDIR`. Run by `make bench-parts`.
//!
//! The bench exits with 1 if a bound is missed that does not depend on other load of the machine. Times are only
//! printed, and beside them the duration of a busy loop of 5 µs on the same threads at the same time.
//! `PYROTEE_SPOOL_GB` sets the size of the backlog in GiB (1).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench, not the product"
)]

mod rig;
mod stopwatch;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pyrotee_queue::Reason;
use pyrotee_spool::{Fsync, Settings};
use rig::{Paced, Rig, TARGETS, disk_use};
use stopwatch::{cpu_time, text};
use tokio::runtime::Runtime;

/// Bytes of a typical profile.
const BODY: usize = 50_000;
const RATE: u32 = 2_000;
const PACED_FOR: Duration = Duration::from_secs(3);

const INTERVAL: Fsync = Fsync::Interval(Duration::from_millis(100));
const POLICIES: [(&str, Fsync); 3] = [
    ("`never`", Fsync::Never),
    ("`interval`", INTERVAL),
    ("`always`", Fsync::Always),
];

/// Bounds that must hold on any machine.
#[derive(Default)]
struct Gates(Vec<String>);

impl Gates {
    fn hold(&mut self, what: &str, value: f64, at_most: f64) {
        let missed = value > at_most;
        let word = if missed { "MISSED" } else { "ok" };
        println!("{word}: {what}: {value:.3}, at most {at_most}");
        self.0.extend(missed.then(|| what.to_owned()));
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let mut gates = Gates::default();
    pace(&runtime);
    pour(&runtime, &mut gates);
    backlog(&runtime, &mut gates);
    many(&runtime, &mut gates);
    sidecar(&runtime, &mut gates);
    for missed in &gates.0 {
        println!("missed: {missed}");
    }
    ExitCode::from(u8::from(!gates.0.is_empty()))
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn settings(dir: &Path, fsync: Fsync, max_bytes: u64) -> Settings {
    Settings {
        fsync,
        max_bytes,
        index_bytes: 4 << 30,
        ..Settings::new(dir)
    }
}

const HEAD: &str = "\n| queue | offer p50 | p99 | max | its work, p99 | waits for locks, p99.9 | max \
                    | 5 µs spin p99 | max | receipt p50 | p99 | CPU per profile |\
                    \n|---|---|---|---|---|---|---|---|---|---|---|---|";

fn row(name: &str, paced: &Paced) {
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        paced.offers.at(500),
        paced.offers.at(990),
        paced.offers.max(),
        paced.work.at(990),
        paced.blocked.at(999),
        paced.blocked.max(),
        paced.spins.at(990),
        paced.spins.max(),
        paced.receipts.at(500),
        paced.receipts.at(990),
        text(paced.cpu),
    );
}

/// Measures `offer`, which runs on the path of a request, at a steady rate.
fn pace(runtime: &Runtime) {
    println!("{TARGETS} targets, {RATE} profiles of {BODY} bytes a second");
    println!("{HEAD}");
    let run = |name: &str, rig: Rig, targets| {
        let deliverers = rig.deliver(runtime, targets);
        row(name, &rig.pace(runtime, BODY, RATE, PACED_FOR));
        rig.close(runtime, deliverers);
    };
    run("memory", Rig::memory(), TARGETS);
    for (name, fsync) in POLICIES {
        let dir = home();
        let rig = Rig::spool(settings(dir.path(), fsync, 1 << 30));
        run(name, rig, TARGETS);
    }
    let dir = home();
    let rig = Rig::spool(settings(dir.path(), INTERVAL, 64 << 20));
    run("`interval`, full, one target away", rig, TARGETS - 1);
}

/// Measures the highest throughput: into the queue while no target accepts anything, and out of it again. The memory
/// queue is bounded, so it is emptied while it is filled.
fn pour(runtime: &Runtime, gates: &mut Gates) {
    const COUNT: usize = 4_000;
    println!("\n| queue | in | | out, to each target | CPU per profile |\n|---|---|---|---|---|");
    let run = |name: &str, rig: Rig| {
        let cpu = cpu_time();
        let mut deliverers = Vec::new();
        if rig.monitor.is_none() {
            deliverers = rig.deliver(runtime, TARGETS);
        }
        let rate = |took: Duration| COUNT as f64 / took.as_secs_f64();
        let poured = rate(rig.pour(BODY, COUNT));
        let megabytes = poured * BODY as f64 / 1e6;
        print!("| {name} | {megabytes:.0} MB/s | {poured:.0} profiles/s ");
        let written = rig.monitor.as_ref();
        let written = written.map(|monitor| monitor.stats().written_bytes);
        if rig.monitor.is_some() {
            deliverers = rig.deliver(runtime, TARGETS);
        }
        let drained = rate(rig.drained()) * BODY as f64 / 1e6;
        let cpu = (cpu_time() - cpu) / COUNT as u32;
        let drained = written.map_or_else(String::new, |_| format!("{drained:.0} MB/s"));
        println!("| {drained} | {} |", text(cpu));
        rig.close(runtime, deliverers);
        written
    };
    run("memory", Rig::memory());
    let mut ratios = Vec::new();
    for (name, fsync) in POLICIES {
        let dir = home();
        let written = run(name, Rig::spool(settings(dir.path(), fsync, 1 << 30)));
        ratios.push((name, written.unwrap()));
    }
    println!();
    for (name, written) in ratios {
        let what = format!("bytes written per byte of body, {TARGETS} targets, {name}");
        gates.hold(&what, written as f64 / (COUNT * BODY) as f64, 1.1);
    }
}

/// Measures an outage of all targets: filling the spool, a restart, and the delivery of the backlog.
fn backlog(runtime: &Runtime, gates: &mut Gates) {
    let gigabytes = std::env::var("PYROTEE_SPOOL_GB");
    let gigabytes: u64 = gigabytes.map_or(1, |text| text.parse().unwrap());
    let count = (gigabytes << 30) as usize / BODY;
    let dir = home();
    let settings = settings(dir.path(), INTERVAL, 2 * (gigabytes << 30));
    let rig = Rig::spool(settings.clone());
    let took = rig.pour(BODY, count);
    let rate = (count * BODY) as f64 / 1e6 / took.as_secs_f64();
    println!("\na backlog of {gigabytes} GiB, {count} profiles: {rate:.0} MB/s");
    println!("{HEAD}");
    let paced = rig.pace(runtime, BODY, RATE, PACED_FOR);
    row("`interval`, behind the backlog, no target", &paced);
    rig.close(runtime, Vec::new());

    let start = Instant::now();
    let rig = Rig::spool(settings);
    let opened = start.elapsed();
    println!("\nopened again in {}", text(opened));
    let pending = rig.ledgers[0].snapshot().pending.profiles;
    assert!(pending >= count as u64, "{pending} of {count}");
    let deliverers = rig.deliver(runtime, TARGETS);
    let took = rig.drained();
    let rate = pending as f64 * BODY as f64 / 1e6 / took.as_secs_f64();
    println!(
        "delivered to {TARGETS} targets in {}: {rate:.0} MB/s each\n",
        text(took)
    );
    rig.close(runtime, deliverers);
    let bound = 10.0 * gigabytes as f64;
    gates.hold(
        "seconds to open a backlog (1 for 1 GiB is the aim)",
        opened.as_secs_f64(),
        bound,
    );
    let left = disk_use(dir.path()) as f64 / (8 << 20) as f64;
    gates.hold("segments of disk after all is delivered", left, 1.0);
}

/// Checks whether a record costs more in a spool with as many records and segments as 10 GiB of profiles have.
fn many(runtime: &Runtime, gates: &mut Gates) {
    const COUNT: usize = 200_000;
    const STEP: usize = COUNT / 10;
    let dir = home();
    let rig = Rig::spool(Settings {
        segment_bytes: 256 << 10,
        ..settings(dir.path(), Fsync::Never, 128 << 20)
    });
    let mut costs = Vec::new();
    for _ in 0..COUNT / STEP {
        let cpu = cpu_time();
        rig.pour(200, STEP);
        costs.push((cpu_time() - cpu) / STEP as u32);
    }
    let segments = rig.monitor.as_ref().unwrap().stats().segments;
    let [first, .., last] = costs[..] else {
        unreachable!("there are ten")
    };
    println!(
        "\n{COUNT} small profiles in {segments} segments: CPU per profile {} for the first tenth, {} for the last",
        text(first),
        text(last)
    );
    rig.close(runtime, Vec::new());
    let ratio = last.as_secs_f64() / first.as_secs_f64();
    gates.hold("cost of the last tenth by that of the first", ratio, 3.0);
}

/// Checks the smallest spool: profiles that do not fit are dropped, and every one of them is counted.
fn sidecar(runtime: &Runtime, gates: &mut Gates) {
    const COUNT: usize = 2_000;
    let dir = home();
    let small = settings(dir.path(), INTERVAL, 16 << 20);
    let rig = Rig::spool(small.clone());
    let deliverers = rig.deliver(runtime, TARGETS - 1);
    rig.pour(BODY, COUNT);
    let (mut uncounted, mut kept, mut most) = (0, 0, 0);
    for ledger in &rig.ledgers {
        let counts = ledger.snapshot();
        let full = counts.dropped(Reason::SpoolFull).profiles;
        uncounted += COUNT as u64 - counts.sent.profiles - counts.pending.profiles - full;
    }
    if let Some(ledger) = rig.ledgers.last() {
        kept = ledger.snapshot().pending.profiles;
        most = rig.monitor.as_ref().unwrap().stats().bytes;
    }
    rig.close(runtime, deliverers);
    let rig = Rig::spool(small);
    let again = rig.ledgers[TARGETS - 1].snapshot();
    let deliverers = rig.deliver(runtime, TARGETS);
    rig.drained();
    let sent = rig.ledgers[TARGETS - 1].snapshot().sent.profiles;
    println!(
        "\na spool of 16 MiB, one of {TARGETS} targets away: {kept} of {COUNT} profiles kept for it"
    );
    rig.close(runtime, deliverers);
    gates.hold("profiles lost uncounted", uncounted as f64, 0.0);
    gates.hold("profiles lost by a restart", kept as f64 - sent as f64, 0.0);
    gates.hold(
        "profiles counted as damaged",
        again.dropped(Reason::Corrupt).profiles as f64,
        0.0,
    );
    gates.hold("MiB on disk", most as f64 / f64::from(1 << 20), 16.0);
}
