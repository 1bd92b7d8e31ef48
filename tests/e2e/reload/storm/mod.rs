//! Many reloads under load: no client notices one, and every target gets what was offered while it was in force.

mod judge;
mod plan;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    judge::{Deliveries, History, Offer},
    plan::Plan,
};
use crate::support::{Builder, Client, Ledger, Relay, Request, Upstream, eventually, nightly};

/// Clients of the storm, and the time between two profiles of one client: some 300 profiles a second together.
const CLIENTS: usize = 6;
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes by which the resident memory may grow after the first third of the reloads.
const GROWTH: u64 = 32 * 1024 * 1024;

/// The numbers of a storm: small in each run, large at night.
struct Size {
    reloads: usize,
    scrapes: usize,
    /// Longest time for the scrapes after the last reload. One takes 50 ms on a quiet machine.
    patience: Duration,
}

fn size() -> Size {
    let (reloads, scrapes, seconds) = if nightly() {
        (300, 1_000, 300)
    } else {
        (30, 20, 60)
    };
    Size {
        reloads,
        scrapes,
        patience: Duration::from_secs(seconds),
    }
}

#[test]
fn a_storm_of_reloads_loses_nothing_in_memory() {
    let upstream = Upstream::ok();
    let base = Relay::builder().upstream(&upstream);
    let offers = storm(&base, 1, |lost, reloads| lost <= reloads as u64);
    let mut forwarded = super::names(&upstream);
    forwarded.sort();
    let mut sent: Vec<_> = offers.into_iter().map(|offer| offer.profile).collect();
    sent.sort();
    assert!(forwarded == sent, "{} of {}", forwarded.len(), sent.len());
}

#[test]
fn a_storm_of_reloads_loses_nothing_on_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let spool = format!(
        "spool: {{ dir: \"{}\", segment-bytes: 256KiB, max-bytes: 256MiB }}",
        dir.path().display()
    );
    let base = Relay::builder()
        .yaml(&spool)
        .remote_write("disable-local-writes: true");
    storm(&base, 2, |lost, _| lost == 0);
}

/// Reloads under load, judges the deliveries, and returns all offers. `may_lose` says whether so many records may be
/// refused because their offer held the list before a reload.
fn storm(base: &Builder, seed: u64, may_lose: impl Fn(u64, usize) -> bool) -> Vec<Offer> {
    let size = size();
    let targets: Vec<_> = (0..4).map(|_| Upstream::ok()).collect();
    let base = base.clone().yaml("reload: { interval: 0 }");
    let mut plan = Plan::new(seed, targets.iter().map(Upstream::url).collect());
    let relay = plan.render(&base).spawn();
    let mut history = History::new(plan.names());
    let known = Mutex::new(plan.names());
    let (stop, scrapes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (offers, memory) = thread::scope(|scope| {
        let stop_at_end = StopGuard(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let (address, stop) = (relay.addr(), &stop);
                    move || send(address, number, stop)
                })
            })
            .collect();
        let scraper = scope.spawn(|| scrape(&relay, &known, &scrapes, &stop));
        let mut memory = 0;
        for number in 0..size.reloads {
            if number == size.reloads / 3 {
                memory = relay.rss();
            }
            reload(&relay, &base, &mut plan, &mut history, number);
            known.lock().unwrap().extend(plan.names());
        }
        eventually(size.patience, "enough scrapes", || {
            scrapes.load(Ordering::Relaxed) >= size.scrapes || scraper.is_finished()
        });
        drop(stop_at_end);
        let offers = clients
            .into_iter()
            .flat_map(|it| it.join().expect("no client error"));
        let offers: Vec<_> = offers.collect();
        scraper.join().expect("every scrape balances");
        (offers, memory)
    });
    let ledgers = settle(&relay, &known.into_inner().unwrap());
    let growth = relay.rss().saturating_sub(memory);
    assert!(
        growth < GROWTH,
        "{} KiB more than after a third",
        growth / 1024
    );

    // A deliverer that ends at once and begins again would use a whole CPU.
    let used = relay.cpu_time();
    thread::sleep(Duration::from_secs(1));
    let used = relay.cpu_time().saturating_sub(used);
    assert!(
        used < Duration::from_millis(500),
        "{used:?} in an idle second"
    );

    let deliveries = Deliveries::of(&targets);
    let missed = history.judge(&offers, &deliveries);
    let mut refused = 0;
    for (name, ledger) in &ledgers {
        let lost = ledger.lost();
        assert_eq!(lost, ledger.dropped("target_removed"), "{name}: {ledger:?}");
        assert_eq!(
            ledger.sent.profiles,
            deliveries.count(name),
            "{name}: {ledger:?}"
        );
        let missed = missed.get(name).copied().unwrap_or_default();
        assert!(
            missed <= lost.profiles,
            "{missed} of {name} are missing: {ledger:?}"
        );
        refused += lost.profiles;
    }
    assert!(
        may_lose(refused, size.reloads),
        "{refused} refused: {ledgers:?}"
    );
    offers
}

/// Changes the configuration in one step, or tries to with a faulty file.
fn reload(relay: &Relay, base: &Builder, plan: &mut Plan, history: &mut History, number: usize) {
    let is_faulty = number % 10 == 7;
    let before = plan.clone();
    plan.step();
    let builder = plan.render(base);
    let began = Instant::now();
    if is_faulty {
        relay.rewrite(&builder.remote_write("no-such-key: 1"));
        relay.refused_reload();
        *plan = before;
    } else {
        relay.reload_with(&builder);
        history.push(plan.names(), began, Instant::now());
    }
}

/// Sends profiles until `stop`. Panics if one is not accepted.
fn send(relay: SocketAddr, client: usize, stop: &AtomicBool) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut connection = Client::connect(relay);
    while !stop.load(Ordering::Relaxed) {
        let profile = format!("p{client}x{}", offers.len());
        let began = Instant::now();
        if client.is_multiple_of(2) {
            connection = Client::connect(relay);
        }
        let body = vec![b'x'; 100 + offers.len() % 400];
        let answer = connection.exchange(&Request::profile(&profile, &body));
        assert_eq!(answer.status(), 200, "{profile}: {answer:?}");
        let answered = Instant::now();
        offers.push(Offer {
            profile,
            began,
            answered,
        });
        thread::sleep(PAUSE.saturating_sub(began.elapsed()));
    }
    offers
}

/// Scrapes until `stop`: each account balances, each known name is there, and no counter goes down.
fn scrape(
    relay: &Relay,
    known: &Mutex<BTreeSet<String>>,
    scrapes: &AtomicUsize,
    stop: &AtomicBool,
) {
    let mut before = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let names = known.lock().unwrap().clone();
        let metrics = relay.metrics();
        for name in names {
            let ledger = metrics.ledger(&name);
            assert!(ledger.balances(), "{name}: {ledger:?}");
        }
        for (series, value) in metrics.counters() {
            let old = before.insert(series.clone(), value).unwrap_or_default();
            assert!(value >= old, "{series} went from {old} to {value}");
        }
        scrapes.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
}

/// Waits until nothing is pending, and returns the accounts.
fn settle(relay: &Relay, names: &BTreeSet<String>) -> BTreeMap<String, Ledger> {
    let ledgers = || -> BTreeMap<_, _> {
        let metrics = relay.metrics();
        let ledger = |name: &String| (name.clone(), metrics.ledger(name));
        names.iter().map(ledger).collect()
    };
    eventually(Duration::from_secs(60), "all delivered", || {
        ledgers().values().all(|it| it.pending.profiles == 0)
    });
    ledgers()
}

/// Stops the threads of a storm when the test ends, even by a panic.
struct StopGuard<'a>(&'a AtomicBool);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
