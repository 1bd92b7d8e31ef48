//! A network that is parted between a relay and the broker: nobody is told.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    CONNECTED, LENGTH, RECOVERY, arrived, named, open, relay_at, send, series, stop, wait,
    wait_for_each, wait_until_connected, wait_until_done, wait_until_shared,
};
use crate::support::{
    Answer, Builder, Client, Ledger, Relay, Request, SOON, Upstream,
    client::noise,
    eventually,
    line::{Cut, Line},
    nats::Nats,
    nightly,
    ports::Refusing,
};

/// Longest time until a relay notices that nothing arrives: three pings, every 5 s, and a busy machine.
const NOTICED: Duration = Duration::from_secs(25);

/// Uploads at once of the relays that take over.
const WORKERS: u64 = 8;

/// Received records that wait to be leased, at most.
const BUFFERED: u64 = 8;

/// The broker gives what it has no answer about to another relay after 30 s.
const GIVEN_AGAIN: Duration = Duration::from_secs(45);

/// Longest time of half of the responses while the broker cannot be reached, if it was `before` until then. The rest is
/// for a busy machine; a client that waits for the broker waits for seconds.
fn as_before(before: Duration) -> Duration {
    4 * before + Duration::from_millis(20)
}

const BOTH: Cut = Cut {
    to_server: true,
    to_client: true,
};

/// What the relay publishes arrives, and the acknowledgements do not.
const TO_CLIENT: Cut = Cut {
    to_server: false,
    to_client: true,
};

const TO_SERVER: Cut = Cut {
    to_server: true,
    to_client: false,
};

/// A relay whose way to the broker can be cut.
struct Site {
    nats: Nats,
    line: Line,
    port: Refusing,
    relay: Relay,
}

fn builder(server: &str, port: &Refusing) -> Builder {
    let options = ["queue-size: 1000", "replay-rate: 0", "queue-workers: 8"];
    relay_at(server, "after: 1s").target_address("central", &port.url(), &options)
}

impl Site {
    fn new() -> Self {
        let (nats, port) = (Nats::start(), Refusing::new());
        let line = Line::to(nats.address());
        let relay = builder(&format!("nats://{}", line.address()), &port).spawn();
        wait_until_connected(&relay);
        Self {
            nats,
            line,
            port,
            relay,
        }
    }

    /// Sends profiles, and returns half of the responses' longest time.
    fn send(&self, names: &[String]) -> Duration {
        let mut client = Client::connect(self.relay.addr());
        let mut times = Vec::new();
        for name in names {
            let begun = Instant::now();
            let answer = client.exchange(&Request::profile(name, &noise(LENGTH)));
            assert_eq!(answer.status(), 200, "{name}: {answer:?}");
            times.push(begun.elapsed());
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Waits until the relay says that the broker cannot be reached. The account balances at every look.
    fn is_noticed(&self) -> Ledger {
        let is_gone = || self.relay.metrics().value(CONNECTED, &[]) == Some(0.0);
        let ledger = wait(&self.relay, NOTICED, "the loss of the connection", |_| {
            is_gone()
        });
        let status = self.relay.status()["shared"].clone();
        assert_eq!(status["connected"], false, "{status}");
        assert!(status["server"].is_null(), "{status}");
        let log = self.relay.output();
        assert!(log.contains("disconnected from NATS"), "{log}");
        ledger
    }
}

/// Profiles are handed over before, during and after a cut.
fn hands_over(cut: Cut, mend: fn(&Line)) {
    let site = Site::new();
    let before = site.send(&named("before", 40));
    wait_until_shared(&site.relay, 40);
    let stored = site.nats.stored();
    site.send(&named("cut", 40));
    site.line.cut(cut);
    let during = site.send(&named("during", 40));
    assert!(
        during < as_before(before),
        "{during:?} instead of {before:?}"
    );
    let ledger = site.is_noticed();
    // What is unacknowledged is still here, whether the broker has it or not.
    assert!(ledger.pending.profiles >= 80, "{ledger:?}");
    if cut.to_server {
        assert_eq!(site.nats.stored(), stored);
    } else {
        assert!(
            site.nats.stored() > stored,
            "the way to the broker is whole"
        );
    }
    let later = site.send(&named("later", 40));
    assert!(later < as_before(before), "{later:?} instead of {before:?}");

    mend(&site.line);
    wait_until_connected(&site.relay);
    wait_until_shared(&site.relay, 160);
    assert_eq!(series(&site.relay, "possibly_doubled_total"), 0.0);
    stop(site.relay);
    assert_eq!(site.nats.stored(), 160, "each once");
    let target = open(&site.port);
    let other = builder(&site.nats.url(), &site.port).spawn();
    let names = ["before", "cut", "during", "later"].map(|name| named(name, 40));
    wait_for_each(&target, &names.concat(), RECOVERY);
    let ledger = wait_until_done(&other, &site.nats);
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
}

#[test]
fn a_cut_line_to_the_broker_is_noticed_and_neither_loses_nor_doubles_what_is_handed_over() {
    thread::scope(|scope| {
        scope.spawn(|| hands_over(BOTH, Line::mend));
        scope.spawn(|| hands_over(TO_CLIENT, Line::break_off));
        scope.spawn(|| hands_over(TO_SERVER, Line::mend));
    });
}

/// A relay takes over and delivers, and the line is cut meanwhile. Returns how many profiles the target has twice, and
/// how many the relay had received and not settled at the cut.
fn takes_over(cut: Cut, mend: fn(&Line), limit: Duration) -> (u64, u64) {
    let (nats, port) = (Nats::start(), Refusing::new());
    let first = builder(&nats.url(), &port).spawn();
    wait_until_connected(&first);
    let names = named("app", 300);
    send(&first, &names);
    stop(first);
    assert_eq!(nats.stored(), 300);
    let target = Upstream::at(&port.address().to_string(), |_| {
        Answer::ok().after(Duration::from_millis(20))
    });
    let line = Line::to(nats.address());
    let relay = builder(&format!("nats://{}", line.address()), &port).spawn();
    target.wait_for(50, RECOVERY);
    line.cut(cut);
    let held = relay.ledger("central").pending.profiles;
    // What the relay had received reaches the target all the same.
    wait(&relay, SOON, "nothing received is left", |it| {
        it.pending.profiles == 0
    });
    let had = arrived(&target).len();
    assert!(had < 300, "the line was cut too late");
    mend(&line);
    eventually(limit, "an empty stream", || {
        assert!(relay.ledger("central").balances());
        nats.stored() == 0
    });
    let ledger = wait_until_done(&relay, &nats);
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let mut all = arrived(&target);
    let total = all.len() as u64;
    all.dedup();
    assert_eq!(all, names, "each reaches the target");
    // The series are whole numbers.
    (
        total - 300,
        format!("{held}").parse().expect("a whole number"),
    )
}

#[test]
fn a_line_that_is_cut_for_a_moment_doubles_nothing_that_is_taken_over() {
    thread::scope(|scope| {
        for cut in [BOTH, TO_CLIENT, TO_SERVER] {
            scope.spawn(move || {
                let (doubled, _) = takes_over(cut, Line::mend, RECOVERY);
                assert_eq!(doubled, 0, "{cut:?}");
            });
        }
    });
}

#[test]
fn a_line_that_is_cut_and_breaks_off_doubles_at_most_what_was_in_flight() {
    if !nightly() {
        return;
    }
    for cut in [BOTH, TO_CLIENT, TO_SERVER] {
        let (doubled, held) = takes_over(cut, Line::break_off, GIVEN_AGAIN);
        eprintln!("{cut:?}: {doubled} doubled, {held} held");
        // Beside what was held, acknowledgements of uploads that had just ended were on their way.
        assert!(held <= BUFFERED + WORKERS, "{held}");
        assert!(
            doubled <= held + WORKERS,
            "{cut:?}: {doubled} doubled, {held} held"
        );
    }
}
