//! Poison records among good ones: a target that fails some profiles still gets all others in time.
//!
//! A test of `pyrotee-delivery` has more shares of poison, in paused time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    push,
    support::{
        Answer, Arrival, Builder, Relay, Request, Upstream, client::noise, key::parameter, nightly,
        paced, poll,
    },
};

/// Share of the good profiles that must arrive within [`IN_TIME`].
const REQUIRED: f64 = 0.95;
const IN_TIME: Duration = Duration::from_secs(10);

/// One run: the response to poison, the share of poison in percent, profiles per second, and options of the target.
struct Cell {
    name: &'static str,
    poison: fn() -> Answer,
    share: u64,
    per_second: u32,
    options: &'static [&'static str],
}

fn cells() -> Vec<Cell> {
    let cell = |name, share, poison| Cell {
        name,
        poison,
        share,
        per_second: 20,
        options: &[],
    };
    vec![
        cell("500", 10, || Answer::status(500, b"sorry")),
        cell("hang", 30, Answer::never).slow(5, &["timeout: 10s"]),
        cell("502", 30, || Answer::status(502, b"bad gateway")),
        cell("503", 30, || Answer::status(503, b"no backend")),
        cell("504", 30, || Answer::status(504, b"gateway timeout")),
        cell("429", 30, || Answer::status(429, b"slow down")),
        cell("422 failure", 30, || {
            Answer::status(422, b"at least 1 live replicas required, could only find 0")
        }),
        cell("403", 30, || Answer::status(403, b"blocked")),
        cell("404", 30, || Answer::status(404, b"no such page")),
        cell("reset", 30, || Answer::raw(b"").unread().reset()),
        cell("500, little", 1, || Answer::status(500, b"sorry")),
        cell("hang, short timeout", 10, Answer::never).slow(50, &["timeout: 1s"]),
    ]
}

impl Cell {
    fn slow(self, per_second: u32, options: &'static [&'static str]) -> Self {
        Self {
            per_second,
            options,
            ..self
        }
    }

    /// A name for each number. With a chance of [`Cell::share`] percent the name makes the profile poison.
    fn profile(&self, number: usize) -> String {
        // The finaliser of splitmix64: as good as random, and the same every time.
        let mut bits = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let is_poison = (bits ^ (bits >> 31)) % 100 < self.share;
        format!("{}{number}", if is_poison { "bad" } else { "good" })
    }
}

/// Time of arrival of each profile that the target accepted, by name.
type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

/// A target that accepts profiles and records their times of arrival. With `poison`, poison gets that response instead.
fn target(poison: Option<fn() -> Answer>) -> (Upstream, Arrivals) {
    let arrivals = Arrivals::default();
    let taken = Arc::clone(&arrivals);
    let upstream = Upstream::script(move |arrival: &Arrival<'_>| {
        let name = parameter(&arrival.head.query(), "name").expect("an upload has a name");
        match poison {
            Some(poison) if name.starts_with("bad") => poison(),
            _ => {
                let mut taken = taken.lock().expect("no script panics");
                taken.entry(name).or_insert_with(Instant::now);
                Answer::ok()
            }
        }
    });
    (upstream, arrivals)
}

/// Every third profile is a Push.
fn request(number: usize, name: &str) -> Request {
    let body = noise(100 + number);
    match number % 3 {
        0 => Request::post(&format!("{}?name={name}", push::PATH), &body)
            .field("Content-Type", "application/proto"),
        _ => Request::profile(name, &body),
    }
}

fn run(cell: &Cell, with_spool: bool, seconds: u32) {
    let (poisoned, taken) = target(Some(cell.poison));
    let (healthy, all_taken) = target(None);
    let spool = |builder: Builder| match with_spool {
        true => builder.yaml("spool: { dir: \"{home}/spool\" }"),
        false => builder,
    };
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("poisoned", &poisoned, cell.options)
        .target("healthy", &healthy, cell.options);
    let relay = spool(relay).spawn();
    let due = paced(relay.addr(), cell.per_second, seconds, |number| {
        request(number, &cell.profile(number))
    });
    let due: HashMap<_, _> = (0..).map(|n| cell.profile(n)).zip(due).collect();
    let good = due.keys().filter(|name| name.starts_with("good")).count();
    let count = |arrivals: &Arrivals| arrivals.lock().expect("no script panics").len();
    let arrived = || count(&taken) >= good && count(&all_taken) >= due.len();
    poll(IN_TIME, || arrived().then_some(()));

    let in_time = |arrivals: &Arrivals| {
        let arrivals = arrivals.lock().expect("no script panics");
        let ways = arrivals
            .iter()
            .map(|(name, at)| at.saturating_duration_since(due[name]));
        ways.filter(|way| *way <= IN_TIME).count()
    };
    let what = format!("{}, {} %, spool: {with_spool}", cell.name, cell.share);
    let part = in_time(&taken) as f64 / good as f64;
    assert!(
        part >= REQUIRED,
        "{what}: {part:.3} of the good ones in time"
    );
    assert_eq!(
        in_time(&all_taken),
        due.len(),
        "{what}: at the healthy target"
    );

    let all = due.len() as u64;
    let healthy = relay.wait_ledger("healthy", &what, |ledger| ledger.sent.profiles == all);
    assert_eq!(healthy.accepted.profiles, all, "{what}");
    let ledger = relay.wait_ledger("poisoned", &what, |ledger| {
        ledger.sent.profiles == count(&taken) as u64
    });
    assert_eq!(ledger.accepted.profiles, all, "{what}: {ledger:?}");
}

#[test]
fn poison_does_not_hold_back_what_a_target_would_take() {
    let mut cells = cells();
    let seconds = if nightly() { 30 } else { 8 };
    if !nightly() {
        cells.truncate(2);
    }
    thread::scope(|scope| {
        for (number, cell) in cells.iter().enumerate() {
            scope.spawn(move || run(cell, number % 2 == 1, seconds));
        }
    });
}
