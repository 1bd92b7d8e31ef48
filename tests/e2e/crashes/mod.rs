//! A relay that is killed at any moment, while its disk and its targets fail at any moment, loses no profile that it
//! promised to keep. Of the other profiles it loses only those that were not written yet.

mod journal;

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use self::journal::Journal;
use crate::support::{
    Answer, Arrival, Builder, Relay, Request, SOON, SmallDisk, Upstream, Wire, client::noise,
    eventually, key::parameter, nightly, ports::Refusing,
};

/// Number of clients, and so the most requests in progress when the relay is killed.
const CLIENTS: usize = 4;

const TARGETS: [&str; 2] = ["one", "two"];

/// How often the relay is killed.
fn kills() -> usize {
    if nightly() { 200 } else { 20 }
}

/// The fault of the disk in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Another file fills the disk.
    Full,
    /// An empty directory that cannot be written is mounted over the disk.
    ReadOnly,
    /// The directory of the spool is renamed for a while.
    Away,
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % below
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.roll(below))
    }
}

/// Sends numbered profiles until `stop` is set.
fn feed(address: SocketAddr, journal: &Journal, stop: &AtomicBool) {
    let body = noise(3_000);
    while !stop.load(SeqCst) {
        let (number, begun) = (journal.next(), Instant::now());
        let request = Request::profile(&format!("app{number}"), &body);
        let Ok(stream) = TcpStream::connect_timeout(&address, SOON) else {
            return;
        };
        journal.sent(number);
        // Without a response from a killed relay the profile may be lost or kept.
        if exchange(stream, &request.bytes()) == Some(200) {
            journal.answered(number, begun);
        }
    }
}

fn exchange(stream: TcpStream, request: &[u8]) -> Option<u16> {
    let mut wire = Wire::new(stream, SOON);
    wire.send(request).ok()?;
    Some(wire.head().ok().flatten()?.status())
}

/// A target that fails in many ways until `well` is set, and notes in the journal the profiles that it received.
fn target(
    place: usize,
    port: &Refusing,
    journal: &Arc<Journal>,
    well: &Arc<AtomicBool>,
) -> Upstream {
    let (journal, well, count) = (Arc::clone(journal), Arc::clone(well), AtomicUsize::new(0));
    Upstream::at(&port.to_string(), move |arrival: &Arrival<'_>| {
        let answer = match count.fetch_add(1, SeqCst) % 60 {
            _ if well.load(SeqCst) => Answer::ok(),
            7 => return Answer::status(503, b"unavailable"),
            19 => return Answer::hang_up(),
            31 => return Answer::raw(b"").reset(),
            43 => return Answer::never(),
            55 => Answer::ok().after(Duration::from_millis(20)),
            _ => Answer::ok(),
        };
        // The tag names the relay that sent the profile: the target may read an upload after the end of its relay.
        let name = parameter(&arrival.head.query(), "name").expect("an upload has a name");
        let (app, round) = name.split_once("{round=").expect("it has the tag");
        let number = app.trim_start_matches("app").parse();
        let round = round.trim_end_matches('}').parse();
        journal.had(
            place,
            number.expect("it is a number"),
            round.expect("it is a number"),
        );
        answer
    })
}

/// Kills a relay many times, each time with a fault of its disk.
struct Ordeal {
    builder: Builder,
    disk: SmallDisk,
    journal: Arc<Journal>,
    targets: Vec<Option<Upstream>>,
    well: Arc<AtomicBool>,
    ports: Vec<Refusing>,
    dice: Dice,
    /// Losses that ledgers counted, by target: with an evicted segment (`full`), and as damage (`corrupt`).
    full: [u64; 2],
    corrupt: [u64; 2],
    /// Fault of the previous relay's disk.
    last: Fault,
}

impl Ordeal {
    fn new(spool: &str) -> Self {
        // Room for all profiles that a fast machine sends in 200 lives: segments are evicted only when a fault fills
        // the disk.
        let disk = SmallDisk::new(256 << 20);
        let journal = Arc::new(Journal::new(TARGETS.len()));
        let well = Arc::new(AtomicBool::new(false));
        let ports: Vec<_> = TARGETS.iter().map(|_| Refusing::new()).collect();
        let targets = ports
            .iter()
            .enumerate()
            .map(|(place, port)| Some(target(place, port, &journal, &well)))
            .collect();
        let dir = disk.path().join("spool");
        let yaml = format!(
            "spool: {{ dir: \"{}\", segment-bytes: 256KiB, max-bytes: 192MiB, {spool} }}",
            dir.display()
        );
        let builder = Relay::builder().within(&disk).yaml(&yaml);
        Self {
            builder,
            disk,
            journal,
            targets,
            well,
            ports,
            dice: Dice(4_040),
            full: [0; 2],
            corrupt: [0; 2],
            last: Fault::None,
        }
    }

    /// Starts the relay of a round; a tag carries the number of the round.
    fn spawn(&self, round: usize) -> Relay {
        let tag = format!("tags: {{ round: \"{round}\" }}");
        let options = ["queue-size: 100000", "replay-rate: 0", "timeout: 1s", &tag];
        let mut builder = self.builder.clone();
        for (name, port) in TARGETS.into_iter().zip(&self.ports) {
            builder = builder.target_address(name, &port.url(), &options);
        }
        builder.spawn()
    }

    /// Stops the last target in some rounds, and starts it again afterwards.
    fn move_targets(&mut self, round: usize) {
        let place = TARGETS.len() - 1;
        if round % 7 == 3 {
            self.targets[place].take().map(Upstream::stop);
        } else if self.targets[place].is_none() {
            let back = target(place, &self.ports[place], &self.journal, &self.well);
            self.targets[place] = Some(back);
        }
    }

    fn strike(&self, fault: Fault) {
        let spool = self.disk.seen().join("spool");
        match fault {
            Fault::None => {}
            Fault::Full => self.disk.fill(),
            Fault::ReadOnly => self.disk.cover(),
            Fault::Away => {
                std::fs::rename(&spool, spool.with_extension("away")).expect("it is there")
            }
        }
    }

    fn heal(&self, fault: Fault) {
        let spool = self.disk.seen().join("spool");
        match fault {
            Fault::None => {}
            Fault::Full => self.disk.free(),
            Fault::ReadOnly => self.disk.uncover(),
            Fault::Away => {
                // A relay may have made a new directory in the old place. Its content is discarded.
                drop(std::fs::remove_dir_all(&spool));
                std::fs::rename(spool.with_extension("away"), &spool).expect("it is there");
            }
        }
    }

    /// Runs one life of a relay.
    fn round(&mut self, round: usize, fault: Fault) {
        self.move_targets(round);
        let mut relay = self.spawn(round);
        self.count(&relay);
        self.last = fault;
        let (before, during) = (self.dice.millis(120), self.dice.millis(150));
        let (address, stop) = (relay.addr(), AtomicBool::new(false));
        // In some rounds the relay lives until the disk works again.
        let survives = fault != Fault::None && round % 5 == 2;
        let full = thread::scope(|scope| {
            let clients = || {
                for _ in 0..CLIENTS {
                    scope.spawn(|| feed(address, &self.journal, &stop));
                }
            };
            clients();
            thread::sleep(before);
            self.strike(fault);
            thread::sleep(during);
            if survives {
                stop.store(true, SeqCst);
                self.heal(fault);
                eventually(3 * SOON, "the disk again", || {
                    let series = "pyroscope_remote_write_spool_mode";
                    relay.metrics().value(series, &[("mode", "disk")]) == Some(1.0)
                });
                stop.store(false, SeqCst);
                clients();
                thread::sleep(during);
            }
            // A spool without space evicts its oldest segment; the count of that loss dies with the relay.
            let full = (fault == Fault::Full).then(|| {
                stop.store(true, SeqCst);
                thread::sleep(Duration::from_millis(50));
                TARGETS.map(|name| relay.ledger(name).dropped("spool_full").profiles)
            });
            relay.signal(Signal::KILL);
            assert!(relay.wait(SOON).is_some(), "round {round}");
            stop.store(true, SeqCst);
            full
        });
        self.journal.killed();
        if !survives {
            self.heal(fault);
        }
        for (sum, full) in self.full.iter_mut().zip(full.unwrap_or_default()) {
            *sum += full;
        }
    }

    /// Adds the losses that the start of a relay has found.
    fn count(&mut self, relay: &Relay) {
        for (place, name) in TARGETS.into_iter().enumerate() {
            let corrupt = relay.ledger(name).dropped("corrupt").profiles;
            self.corrupt[place] += corrupt;
            // Records that were in flight when their segment was evicted were still pending, and are found missing.
            if self.last == Fault::Full {
                self.full[place] += corrupt;
            }
        }
    }

    /// Lets everything be delivered, and checks the losses. `promised`: a 200 meant that the profile is on disk.
    fn judge(mut self, promised: bool) {
        self.move_targets(0);
        // A fast machine leaves tens of thousands of pending profiles; targets that keep failing would take sixty a
        // second.
        self.well.store(true, SeqCst);
        let relay = self.spawn(kills());
        self.count(&relay);
        eventually(12 * SOON, "everything to be settled", || {
            TARGETS
                .iter()
                .all(|name| relay.ledger(name).pending.profiles == 0)
        });
        let (sent, taken) = (self.journal.tried(), self.journal.taken());
        eprintln!(
            "{} kills: {sent} profiles sent, {taken} answered 200",
            kills()
        );
        for (place, name) in TARGETS.into_iter().enumerate() {
            let (missed, ledger) = (self.journal.missed(place), relay.ledger(name));
            let full = self.full[place] + ledger.dropped("spool_full").profiles;
            let corrupt = self.corrupt[place];
            eprintln!(
                "{name}: {} arrived; lost with the memory of a killed relay {}, {corrupt} counted at the next start; \
                 {full} counted after a segment gave way; {} came more than once, as they were delivered up to {:?} before a kill, \
                 after the cursors were last saved",
                self.journal.arrived(place),
                missed.lost.len(),
                missed.doubled,
                missed.oldest_double,
            );
            let lost = if promised {
                &missed.lost
            } else {
                &missed.unexplained
            };
            assert!(
                lost.len() as u64 <= full,
                "{name}: only {full} were counted of {lost:?}"
            );
            let may_be_lost = missed.lost.len() + sent - taken;
            assert!(
                corrupt <= may_be_lost as u64,
                "{name}: {corrupt} of {may_be_lost}"
            );
            let counted =
                ledger.dropped("corrupt").profiles + ledger.dropped("spool_full").profiles;
            assert_eq!(ledger.lost().profiles, counted, "{name}: {ledger:?}");
        }
        assert!(taken > 2 * kills(), "it was used: {taken}");
    }
}

fn faults(round: usize) -> Fault {
    const FAULTS: [Fault; 4] = [Fault::Full, Fault::None, Fault::ReadOnly, Fault::Away];
    FAULTS[round % FAULTS.len()]
}

#[test]
fn every_profile_that_was_answered_arrives_whenever_the_relay_is_killed() {
    let mut ordeal = Ordeal::new("fsync: always");
    ordeal.builder = ordeal.builder.remote_write("disable-local-writes: true");
    for round in 0..kills() {
        ordeal.round(round, Fault::None);
    }
    ordeal.judge(true);
}

#[test]
fn a_disk_that_fails_breaks_no_promise_whenever_the_relay_is_killed() {
    let mut ordeal = Ordeal::new("fsync: always");
    ordeal.builder = ordeal.builder.remote_write("disable-local-writes: true");
    for round in 0..kills() {
        ordeal.round(round, faults(round));
    }
    ordeal.judge(true);
}

#[test]
fn beside_a_local_pyroscope_only_what_was_not_written_is_lost() {
    let upstream = Upstream::ok();
    let mut ordeal = Ordeal::new("fsync: interval");
    ordeal.builder = ordeal.builder.upstream(&upstream);
    for round in 0..kills() {
        ordeal.round(round, faults(round));
    }
    ordeal.judge(false);
}
