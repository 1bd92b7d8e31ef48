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
    strikes::{Struck, WORKERS},
};
use crate::{
    shared::relay_at,
    support::{
        Builder, Relay, Request, SOON, Upstream, Wire,
        client::noise,
        eventually,
        line::{Cut, Line},
        nats::Nats,
    },
};

/// Interval between two profiles of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// After a fault of the broker, a relay that is connected again has handed over what waited too long by then.
const CAUGHT_UP: Duration = Duration::from_secs(6);

/// Profiles that a relay may accept between the last scrape and its kill.
const BETWEEN: u64 = 16;

/// The address of the relay in a slot and the number of its life.
pub(super) type Slot = Arc<Mutex<Option<(SocketAddr, usize)>>>;

pub(super) struct Fleet {
    builders: [Builder; 3],
    /// Between each relay and the broker.
    lines: [Line; 3],
    target: String,
    relays: Vec<(Slot, Relay, usize)>,
    lives: usize,
    /// When the broker or a line was last mended; `None` before the first fault.
    mended: Option<Instant>,
    most_memory: u64,
}

impl Fleet {
    pub(super) fn start(nats: &Nats, target: &Upstream) -> Self {
        let lines = [(); 3].map(|()| Line::to(nats.address()));
        let builders = lines.each_ref().map(|line| {
            let server = format!("nats://{}", line.address());
            relay_at(&server, "after: 1s").yaml("shutdown: { grace: 10s }")
        });
        let mut fleet = Self {
            builders,
            lines,
            target: target.url(),
            relays: Vec::new(),
            lives: 0,
            mended: None,
            most_memory: 0,
        };
        for place in 0..3 {
            let (relay, life) = fleet.spawn(place);
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

    fn spawn(&mut self, place: usize) -> (Relay, usize) {
        self.lives += 1;
        let tags = format!("tags: {{ life: \"{}\" }}", self.lives);
        let workers = format!("queue-workers: {WORKERS}");
        let options = [
            "queue-size: 2000",
            "replay-rate: 0",
            "timeout: 2s",
            &workers,
            &tags,
        ];
        let builder = self.builders[place].clone();
        let relay = builder
            .target_address("central", &self.target, &options)
            .spawn();
        (relay, self.lives)
    }

    /// Puts a new relay into a slot, and returns the old one, which has ended.
    fn replace(&mut self, place: usize) {
        let (relay, life) = self.spawn(place);
        let (slot, old, of) = &mut self.relays[place];
        *slot.lock().expect("no client panics with it") = Some((relay.addr(), life));
        (*old, *of) = (relay, life);
    }

    /// Kills a relay, and starts another in its place.
    pub(super) fn kill(&mut self, dice: &mut Dice, journal: &Journal) {
        let place = usize::try_from(dice.roll(3)).expect("it is small");
        let held = self.look(place);
        let (_, relay, life) = &mut self.relays[place];
        let at = Instant::now();
        relay.signal(Signal::KILL);
        assert!(relay.wait(SOON).is_some(), "life {life}");
        journal.struck(Struck::Relay, at);
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
        // No strike lasts for so long that a stream forgets what was published.
        assert_eq!(count("shared_possibly_doubled_total"), 0, "life {life}");
        self.most_memory = self.most_memory.max(relay.rss_peak());
        let connected = metrics.value(crate::shared::CONNECTED, &[]) == Some(1.0);
        let caught_up = self
            .mended
            .is_none_or(|mended| mended.elapsed() > CAUGHT_UP);
        Held {
            pending: ledger.pending.profiles + BETWEEN,
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

    /// Cuts the line between a relay and the broker for a while, in one direction or both; then it breaks off, or is whole.
    pub(super) fn cut(&mut self, breaks_off: bool, dice: &mut Dice, journal: &Journal) {
        let place = usize::try_from(dice.roll(3)).expect("it is small");
        let (line, directions) = (&self.lines[place], dice.roll(3));
        let from = Instant::now();
        line.cut(Cut {
            to_server: directions != 0,
            to_client: directions != 1,
        });
        thread::sleep(Duration::from_millis(500 + dice.roll(2_500)));
        if breaks_off {
            line.break_off();
            journal.struck(Struck::Line, from);
        } else {
            line.mend();
        }
        self.is_mended();
    }

    /// The broker, or the way to it, is whole again.
    pub(super) fn is_mended(&mut self) {
        self.mended = Some(Instant::now());
    }

    /// Number of profiles that the relays have.
    pub(super) fn pending(&self) -> u64 {
        let pending =
            |(_, relay, _): &(Slot, Relay, usize)| relay.ledger("central").pending.profiles;
        self.relays.iter().map(pending).sum()
    }

    /// Most memory that a relay ever had, in bytes.
    pub(super) fn most_memory(&mut self) -> u64 {
        for place in 0..self.relays.len() {
            self.look(place);
        }
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
