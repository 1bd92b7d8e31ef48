//! A relay that is killed at any moment loses nothing that it has answered for.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{
    Answer, Relay, Request, SOON, Upstream, Wire, client::noise, eventually, key::parameter,
    nightly,
};

/// Profiles that can be under way when the relay is killed.
const CLIENTS: usize = 4;

/// How often the relay is killed.
fn kills() -> usize {
    if nightly() { 200 } else { 20 }
}

/// Sends numbered profiles until it is told to stop; what was answered 200.
fn feed(address: SocketAddr, next: &AtomicUsize, stop: &AtomicBool, taken: &Mutex<Vec<usize>>) {
    let body = noise(3_000);
    while !stop.load(SeqCst) {
        let number = next.fetch_add(1, SeqCst);
        let request = Request::profile(&format!("app{number}"), &body);
        // A relay that dies over it has not answered: then it may be lost, or be there.
        if exchange(address, &request.bytes()) == Some(200) {
            taken
                .lock()
                .expect("nobody panics with the lock")
                .push(number);
        }
    }
}

fn exchange(address: SocketAddr, request: &[u8]) -> Option<u16> {
    let stream = TcpStream::connect_timeout(&address, SOON).ok()?;
    let mut wire = Wire::new(stream, SOON);
    wire.send(request).ok()?;
    Some(wire.head().ok().flatten()?.status())
}

#[test]
fn every_profile_that_was_answered_arrives_whenever_the_relay_is_killed() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    // Some uploads fail, in one way or another.
    let target = Upstream::script(|arrival| match arrival.index % 50 {
        13 => Answer::status(503, b"unavailable"),
        37 => Answer::hang_up(),
        _ => Answer::ok(),
    });
    let spool = format!(
        "spool: {{ dir: \"{}\", fsync: always, segment-bytes: 256KiB, max-bytes: 64MiB }}",
        home.path().display()
    );
    let options = ["queue-size: 10000", "replay-rate: 0"];
    let builder = Relay::builder()
        .yaml(&spool)
        .remote_write("disable-local-writes: true")
        .target("central", &target, &options);
    let (next, taken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    for round in 0..kills() {
        let mut relay = builder.clone().spawn();
        let (address, stop) = (relay.addr(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| feed(address, &next, &stop, &taken));
            }
            // Any moment of its life, the first ones included.
            let life = Duration::from_millis(u64::try_from(round * 37 % 251).expect("it is small"));
            thread::sleep(life);
            relay.signal(Signal::KILL);
            assert!(relay.wait(SOON).is_some(), "round {round}");
            stop.store(true, SeqCst);
        });
    }
    let relay = builder.spawn();
    eventually(6 * SOON, "everything to be settled", || {
        relay.ledger("central").pending.profiles == 0
    });
    let ledger = relay.ledger("central");
    let mut arrived = BTreeMap::<usize, usize>::new();
    for request in target.requests() {
        let name = parameter(&request.head.query(), "name").expect("an upload has a name");
        let number = name
            .trim_start_matches("app")
            .parse()
            .expect("it is a number");
        *arrived.entry(number).or_default() += 1;
    }
    let taken = taken.into_inner().expect("nobody panicked with the lock");
    let missing: Vec<_> = taken
        .iter()
        .filter(|number| !arrived.contains_key(number))
        .collect();
    let doubles = arrived.values().filter(|times| **times > 1).count();
    eprintln!(
        "{} kills: {} profiles sent, {} answered 200, {} arrived, {doubles} of them more than once \
         (refused or unanswered once, or delivered in the last tenth of a second before a kill), last ledger {ledger:?}",
        kills(),
        next.load(SeqCst),
        taken.len(),
        arrived.len(),
    );
    assert!(
        taken.len() > 20 * kills() / 10,
        "it was used: {}",
        taken.len()
    );
    assert_eq!(missing, Vec::<&usize>::new(), "of {}", taken.len());
    // What was never answered may be lost with the memory it lay in; it is counted then.
    assert!(ledger.lost().profiles <= CLIENTS as u64, "{ledger:?}");
}
