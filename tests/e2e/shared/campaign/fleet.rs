//! The relays of a campaign, each in a slot that gets a new relay when the old one has ended.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    Dice,
    journal::{Held, Journal},
};
use crate::{
    shared::relay_only,
    support::{
        Builder, Relay, Request, SOON, Upstream, Wire, client::noise, eventually, nats::Nats,
    },
};

/// Interval between two profiles of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// After a fault of the broker, a relay that is connected again has handed over what waited too long by then.
const CAUGHT_UP: Duration = Duration::from_secs(6);

/// Profiles that a relay may accept, publish or lease between the last scrape and its kill.
const BETWEEN: u64 = 16;

/// The address of the relay in a slot and the number of its life.
pub(super) type Slot = Arc<Mutex<Option<(SocketAddr, usize)>>>;

pub(super) struct Fleet {
    builder: Builder,
    target: String,
    relays: Vec<(Slot, Relay, usize)>,
    lives: usize,
    /// When the broker was last mended; `None` before the first fault.
    mended: Option<Instant>,
    possibly_doubled: u64,
    most_memory: u64,
}

impl Fleet {
    pub(super) fn start(nats: &Nats, target: &Upstream) -> Self {
        let builder = relay_only(nats, "after: 1s").yaml("shutdown: { grace: 10s }");
        let mut fleet = Self {
            builder,
            target: target.url(),
            relays: Vec::new(),
            lives: 0,
            mended: None,
            possibly_doubled: 0,
            most_memory: 0,
        };
        for _ in 0..3 {
            let (relay, life) = fleet.spawn();
            let slot = Arc::new(Mutex::new(Some((relay.addr(), life))));
            fleet.relays.push((slot, relay, life));
        }
        fleet
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        self.relays
            .iter()
            .map(|(slot, ..)| Arc::clone(slot))
            .collect()
    }

    fn spawn(&mut self) -> (Relay, usize) {
        self.lives += 1;
        let tags = format!("tags: {{ life: \"{}\" }}", self.lives);
        let options = ["queue-size: 2000", "replay-rate: 0", "timeout: 2s", &tags];
        let builder = self.builder.clone();
        let relay = builder
            .target_address("central", &self.target, &options)
            .spawn();
        (relay, self.lives)
    }

    /// Puts a new relay into a slot, and returns the old one, which has ended.
    fn replace(&mut self, place: usize) {
        let (relay, life) = self.spawn();
        let (slot, old, of) = &mut self.relays[place];
        *slot.lock().expect("no client panics with it") = Some((relay.addr(), life));
        (*old, *of) = (relay, life);
    }

    /// Kills a relay, and starts another in its place.
    pub(super) fn kill(&mut self, dice: &mut Dice, journal: &Journal) {
        let place = usize::try_from(dice.roll(3)).expect("it is small");
        let held = self.look(place);
        let (_, relay, life) = &mut self.relays[place];
        relay.signal(Signal::KILL);
        assert!(relay.wait(SOON).is_some(), "life {life}");
        journal.killed(*life, held);
        self.replace(place);
    }

    /// What a relay holds now. No relay ever counts a loss.
    fn look(&mut self, place: usize) -> Held {
        let (_, relay, life) = &self.relays[place];
        let metrics = relay.metrics();
        let ledger = metrics.ledger("central");
        assert!(ledger.balances(), "life {life}: {ledger:?}");
        assert_eq!(ledger.lost().profiles, 0, "life {life}: {ledger:?}");
        let labels = [("target", "central")];
        let count = |name: &str| {
            let value = metrics.sum(&format!("pyroscope_remote_write_{name}"), &labels);
            // The series are whole numbers.
            format!("{value}").parse::<u64>().expect("a whole number")
        };
        self.possibly_doubled += count("shared_possibly_doubled_total");
        self.possibly_doubled += count("possibly_doubled_total");
        self.possibly_doubled += count("ambiguous_total");
        self.most_memory = self.most_memory.max(relay.rss_peak());
        let connected = metrics.value(crate::shared::CONNECTED, &[]) == Some(1.0);
        let caught_up = self
            .mended
            .is_none_or(|mended| mended.elapsed() > CAUGHT_UP);
        Held {
            pending: ledger.pending.profiles + BETWEEN,
            in_flight: count("shared_leased")
                + count("shared_publishing")
                + count("inflight_requests")
                + BETWEEN,
            is_handed_over: connected && caught_up,
        }
    }

    /// Stops a relay that is connected, which leaves all it has, and starts another in its place.
    pub(super) fn terminate(&mut self, dice: &mut Dice) {
        let place = usize::try_from(dice.roll(3)).expect("it is small");
        let (_, relay, life) = &self.relays[place];
        eventually(3 * SOON, "a connection to the broker", || {
            relay.metrics().value(crate::shared::CONNECTED, &[]) == Some(1.0)
        });
        let life = *life;
        self.look(place);
        let (_, relay, _) = &mut self.relays[place];
        relay.sigterm();
        let ended = relay.wait(2 * SOON).expect("an end");
        assert_eq!(ended.code(), Some(0), "life {life}: {}", relay.output());
        self.replace(place);
    }

    pub(super) fn broker_is_mended(&mut self) {
        self.mended = Some(Instant::now());
    }

    /// Number of profiles that the relays have.
    pub(super) fn pending(&self) -> u64 {
        let pending =
            |(_, relay, _): &(Slot, Relay, usize)| relay.ledger("central").pending.profiles;
        self.relays.iter().map(pending).sum()
    }

    /// Number of profiles that relays counted as possibly doubled, in all lives so far.
    pub(super) fn possibly_doubled(&mut self) -> u64 {
        for place in 0..self.relays.len() {
            self.look(place);
        }
        self.possibly_doubled
    }

    /// Most memory that a relay ever had, in bytes.
    pub(super) fn most_memory(&self) -> u64 {
        self.most_memory
    }
}

/// Sends numbered profiles to the relay in a slot until `stop` is set.
pub(super) fn feed(slot: &Slot, journal: &Journal, stop: &AtomicBool) {
    let body = noise(3_000);
    while !stop.load(SeqCst) {
        thread::sleep(PAUSE);
        let current = *slot.lock().expect("nobody panics with the lock");
        let Some((address, life)) = current else {
            continue;
        };
        let number = journal.next();
        let request = Request::profile(&format!("app{number}"), &body);
        let begun = Instant::now();
        // Without a response the profile may be lost or kept.
        if exchange(address, &request.bytes()) == Some(200) {
            journal.answered(number, life, begun.elapsed());
        }
    }
}

fn exchange(address: SocketAddr, request: &[u8]) -> Option<u16> {
    let stream = TcpStream::connect_timeout(&address, SOON).ok()?;
    let mut wire = Wire::new(stream, SOON);
    wire.send(request).ok()?;
    Some(wire.head().ok()??.status())
}
