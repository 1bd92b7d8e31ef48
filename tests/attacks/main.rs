//! Clients that want to take the relay's memory, connections or time, beside one that behaves. Each attack lasts four
//! seconds, and half a minute in `make nightly`, where the same attack on a bare proxy is shown beside it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// Attacks on the admin listener.
mod admin;
/// A proxy of hyper's own parts, without any of the relay's.
mod bare;
/// HTTP/2 as frames.
mod frames;
/// The client that behaves.
mod honest;
/// Attacks over HTTP/1.
mod http1;
/// Attacks over HTTP/2.
mod http2;
/// The upstream and the targets.
mod pyroscopes;
/// What the tests are written with.
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

/// The program itself, the runtime and the allocator's slack. A debug build takes as much again.
const FIXED: u64 = 32 * MIB;

/// What a request that stands still may take, as `docs/scaling.md` says.
const PER_REQUEST: u64 = 160 * 1024;

/// One attacker: attacks the address until the time is over.
type Attacker = fn(SocketAddr, Instant);

/// What attacks a relay.
struct Attack {
    name: &'static str,
    attacker: Attacker,
    /// How many attackers there are.
    attackers: usize,
    /// How many requests of all attackers may stand still at once.
    requests: u64,
    /// How many file descriptors the relay has open at least while the attack is under way: it is one.
    open: usize,
}

/// Attacks share the machine with nobody.
static ALONE: Mutex<()> = Mutex::new(());

/// Attacks the listener of clients, beside an honest client. Every profile of the honest one must reach both targets,
/// and the memory must stay within its bound.
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

/// The same for the admin listener.
fn under_admin(attack: &Attack) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::start();
    let honest = stage.attacked(stage.relay.admin(), attack);
    stage.check(attack, &honest);
}

/// A relay with what is around it.
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

    /// What the honest client saw while `address` was attacked.
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

/// Has `attack` and an honest client run at the same time.
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
        // The attack is under way for longer than the second after which an upload that stands still counts as slow.
        // Within that second a burst that fills the memory for received bodies costs profiles of others (`budget`).
        thread::sleep(Duration::from_secs(2));
        Honest::run(relay, end)
    })
}

/// Attackers take one core at most, whatever the machine has.
fn stay_on_one_core() {
    let mut cores = CpuSet::new();
    cores.set(0);
    sched_setaffinity(None, &cores).unwrap();
}
