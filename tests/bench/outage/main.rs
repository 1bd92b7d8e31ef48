//! Two minutes without a target, in real time: the binary under steady load, and the profiles that reach the target
//! after its return. Run by `make outage`, which fails if a promise is broken and draws `docs/outage.svg`.
//!
//! A test of `pyrotee-delivery` has the same outage in paused time; this bench uses real sockets, threads and clocks.
//! The clients keep their schedule whatever the responses are, so that a slow relay shows in the figures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not the product"
)]

#[path = "../../e2e/support/mod.rs"]
mod support;

mod clients;
mod plot;
mod pyroscope;
mod report;
mod watch;

use std::{
    env,
    net::TcpListener,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clients::{Clients, Sent};
use pyroscope::{Arrival, Pyroscope};
use support::{Ledger, Relay, SOON, ports::Refusing};
use watch::Sample;

/// Bytes of a profile.
const SIZE: usize = 20_000;

/// Interval between two profiles: 0.4 MB a second.
const APART: Duration = Duration::from_millis(50);

/// How long nothing listens at the target's address.
const DOWN: Duration = Duration::from_secs(120);

/// How long the delivery of the backlog may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long the load goes on after the backlog is delivered.
const AFTER: Duration = Duration::from_secs(10);

/// Interval between two scrapes.
const SCRAPE: Duration = Duration::from_millis(500);

/// The default of `replay-rate`, bytes a second.
const REPLAY_RATE: f64 = 2e6;

/// The clock of all measurements: seconds since the load began.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// All observations of a run; times in seconds since the load began.
#[derive(Debug)]
struct Run {
    /// When the target listened at its address again.
    opened: f64,
    /// When the load ended.
    ended: f64,
    sent: Vec<Sent>,
    /// Profiles that arrived at the local Pyroscope (`local`) and at the target, and the most profiles that the target
    /// handled at once.
    local: Vec<Arrival>,
    target: Vec<Arrival>,
    most_at_once: usize,
    samples: Vec<Sample>,
    ledger: Ledger,
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let path = env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let path = path.unwrap_or_else(|| "outage.svg".to_owned());
    let run = run();
    let report = report::of(&run);
    println!("{report}");
    if let Err(error) = plot::draw(&path, &run) {
        eprintln!("cannot draw {path}: {error}");
        return ExitCode::FAILURE;
    }
    println!("drawn: {path}");
    if report.kept() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run() -> Run {
    let clock = Clock(Instant::now());
    let local = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", local.local_addr().unwrap());
    let local = Pyroscope::without_limits(local, clock);
    let gone = Refusing::new();
    // Room for all profiles of five minutes, so that none has to be dropped.
    let room = ["queue-size: 10000", "queue-bytes: 256MiB"];
    let relay = Relay::builder()
        .yaml("memory-limit: 512MiB")
        .upstream_address(&address)
        .target_address("central", &gone.url(), &room)
        .spawn();

    let clients = Clients::start(relay.addr(), clock);
    let mut samples = Vec::new();
    watch(&relay, clock, &mut samples, || clock.now() >= secs(DOWN));
    let opened = clock.now();
    let target = Pyroscope::with_default_limits(gone.open(), clock);
    println!("{opened:.1} s: the target is back");

    let given_up = opened + secs(PATIENCE);
    watch(&relay, clock, &mut samples, || {
        let made_up_for = target.has_all_before_its_first(&clients);
        made_up_for || clock.now() >= given_up
    });
    let gone_at = clock.now();
    println!("{gone_at:.1} s: the backlog is gone");
    watch(&relay, clock, &mut samples, || {
        clock.now() >= gone_at + secs(AFTER)
    });

    let ended = clock.now();
    let sent = clients.stop();
    let last = Instant::now() + SOON;
    watch(&relay, clock, &mut samples, || {
        relay.ledger("central").pending.profiles == 0 || Instant::now() >= last
    });
    Run {
        opened,
        ended,
        sent,
        local: local.arrivals(),
        target: target.arrivals(),
        most_at_once: target.most_at_once(),
        samples,
        ledger: relay.ledger("central"),
    }
}

/// Scrapes at fixed intervals until `over` is true.
fn watch(relay: &Relay, clock: Clock, samples: &mut Vec<Sample>, over: impl Fn() -> bool) {
    loop {
        samples.push(Sample::take(relay, clock));
        if over() {
            return;
        }
        thread::sleep(SCRAPE);
    }
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
