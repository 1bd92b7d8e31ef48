//! Clients that try to exhaust the relay's memory, connections or CPU time, beside an honest client. Each attack lasts
//! four seconds, or half a minute in `make nightly`, which also attacks a bare proxy and prints the result for
//! comparison.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// Attacks on the admin listener.
mod admin;
/// A minimal proxy of hyper's parts, for comparison.
mod bare;
/// A client that writes single HTTP/2 frames.
mod frames;
/// The honest client.
mod honest;
/// Attacks over HTTP/1.
mod http1;
/// Attacks over HTTP/2.
mod http2;
/// The upstream and the targets.
mod pyroscopes;
/// Helpers that are shared with the end-to-end tests.
#[path = "../e2e/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use honest::Honest;
use pyroscopes::Pyroscope;
use rustix::thread::{CpuSet, sched_setaffinity};
use support::{Relay, nightly};

const MIB: u64 = 1024 * 1024;

/// The memory limit of the relays under attack.
const LIMIT: u64 = 24 * MIB;

/// Memory of the program itself, the runtime and the allocator's slack, in bytes. Half of it is for the debug build.
const FIXED: u64 = 32 * MIB;

/// Memory that a stalled request may take, in bytes (`docs/scaling.md`).
const PER_REQUEST: u64 = 160 * 1024;

/// Code of one attacker: attacks the address until the given time.
type Attacker = fn(SocketAddr, Instant);

/// An attack, and the bounds that the relay keeps under it.
struct Attack {
    name: &'static str,
    attacker: Attacker,
    /// Number of attackers.
    attackers: usize,
    /// Most requests of all attackers together that are stalled at once.
    requests: u64,
    /// Fewest file descriptors that the relay must have open at some time: shows that the attack took place.
    open: usize,
}

/// Held during an attack, so that attacks do not run at the same time.
static ALONE: Mutex<()> = Mutex::new(());

/// Attacks the listener of clients, beside an honest client. Every profile of the honest client must reach both
/// targets, and the relay's memory must stay within its bound.
fn under(attack: &Attack) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::start();
    let honest = stage.attacked(stage.relay.addr(), attack);
    stage.check(attack, &honest);
    if nightly() {
        let bare = bare::start(stage.upstream.address());
        let beside = run(bare, bare, attack);
        eprintln!("{}: beside a bare proxy {beside}", attack.name);
    }
}

/// Attacks the admin listener, with the same checks as [`under`].
fn under_admin(attack: &Attack) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::start();
    let honest = stage.attacked(stage.relay.admin(), attack);
    stage.check(attack, &honest);
}

/// A relay with its upstream and its targets.
struct Stage {
    upstream: Pyroscope,
    targets: [Pyroscope; 2],
    relay: Relay,
}

impl Stage {
    fn start() -> Self {
        let upstream = Pyroscope::start();
        let targets = [Pyroscope::start(), Pyroscope::start()];
        let tags = ["tags: { cluster: eu }", "queue-size: 10000"];
        let relay = Relay::builder()
            .yaml(&format!("memory-limit: {LIMIT}"))
            .upstream_address(&upstream.url())
            .target_address("one", &targets[0].url(), &tags)
            .target_address("two", &targets[1].url(), &tags)
            .spawn();
        Self {
            upstream,
            targets,
            relay,
        }
    }

    /// Attacks `address`, and returns what the honest client saw meanwhile.
    fn attacked(&self, address: SocketAddr, attack: &Attack) -> Honest {
        let (open, honest) = thread::scope(|scope| {
            let attack = scope.spawn(|| run(self.relay.addr(), address, attack));
            let mut open = 0;
            while !attack.is_finished() {
                open = open.max(self.relay.descriptors());
                thread::sleep(Duration::from_millis(50));
            }
            (open, attack.join().unwrap())
        });
        assert!(open >= attack.open, "{}: {open} descriptors", attack.name);
        honest
    }

    fn check(&self, attack: &Attack, honest: &Honest) {
        let peak = self.relay.rss_peak();
        let bound = LIMIT * 115 / 100 + FIXED + PER_REQUEST * attack.requests;
        eprintln!(
            "{}: {honest}; peak of {} MiB, {} allowed",
            attack.name,
            peak / MIB,
            bound / MIB
        );
        assert_eq!(honest.errors, [""; 0], "{}", attack.name);
        for target in &self.targets {
            target.wait_for(&honest.names);
        }
        assert!(peak <= bound, "{}: {peak} of {bound} bytes", attack.name);
        assert_eq!(
            support::client::send(self.relay.admin(), &support::Request::get("/-/healthy"))
                .status(),
            200
        );
    }
}

/// Runs `attack` and an honest client at the same time.
fn run(relay: SocketAddr, attacked: SocketAddr, attack: &Attack) -> Honest {
    let length = Duration::from_secs(if nightly() { 30 } else { 4 });
    let end = Instant::now() + length;
    thread::scope(|scope| {
        for _ in 0..attack.attackers {
            scope.spawn(move || {
                stay_on_one_core();
                (attack.attacker)(attacked, end);
            });
        }
        // The attack runs for longer than 1 s, after which the relay counts a stalled upload as slow. Within that
        // second a burst that fills the memory for received bodies makes the relay drop profiles of other clients
        // (`budget`).
        thread::sleep(Duration::from_secs(2));
        Honest::run(relay, end)
    })
}

/// Keeps attackers on the first core, so that they take one core at most on any machine.
fn stay_on_one_core() {
    let mut cores = CpuSet::new();
    cores.set(0);
    sched_setaffinity(None, &cores).unwrap();
}
