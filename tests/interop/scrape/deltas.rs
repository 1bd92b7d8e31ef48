//! Deltas of real profiles of Go, compared with the oracle value by value.

use std::io::Read;

use flate2::read::GzDecoder;
use pyrotee_pprof::{Baseline, Delta, Pprof};

use super::{
    App, SIZE,
    oracle::{self, Sums, allocated, total},
};

const HEAP: &str = "/debug/pprof/heap?gc=1";
const MEMORY: [&str; 2] = ["alloc_objects", "alloc_space"];
const CONTENTION: [&str; 2] = ["contentions", "delay"];

/// More than the index of any profile here needs.
const INDEX_LIMIT: usize = 64 << 20;

/// One loop of the relay.
struct Loop {
    cumulative: &'static [&'static str],
    baseline: Baseline,
    last: Option<Vec<u8>>,
}

impl Loop {
    fn new(cumulative: &'static [&'static str]) -> Self {
        Self {
            cumulative,
            baseline: Baseline::default(),
            last: None,
        }
    }

    /// The delta of the next profile, which equals the delta of the oracle.
    fn advance(&mut self, profile: Vec<u8>) -> (Delta, Sums) {
        let bytes = unpacked(&profile);
        let read = Pprof::read(&bytes, INDEX_LIMIT).expect("Go writes whole profiles");
        let types = read.sample_types();
        let is_cumulative = |name: &[u8]| self.cumulative.iter().any(|it| it.as_bytes() == name);
        let cumulative: Vec<_> = types.map(|it| is_cumulative(it.kind)).collect();
        let delta = self.baseline.advance(&read, &cumulative);
        let sent = match &delta {
            Delta::First => None,
            Delta::Reset(written) | Delta::Since(written) => written.as_deref(),
        };
        let sums = sent.map(oracle::sums).unwrap_or_default();
        if let Some(last) = self.last.replace(profile) {
            let new = self.last.as_deref().unwrap_or_default();
            assert_eq!(sums, oracle::delta(self.cumulative, &last, new));
        }
        (delta, sums)
    }
}

fn unpacked(profile: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(profile).read_to_end(&mut plain);
    read.expect("Go compresses its profiles");
    plain
}

#[test]
fn memory_is_exact_to_the_byte() {
    let app = App::start();
    let mut memory = Loop::new(&MEMORY);
    assert_eq!(memory.advance(app.get(HEAP)).0, Delta::First);

    app.allocate(100);
    let (_, sums) = memory.advance(app.get(HEAP));
    assert_eq!(allocated(&sums, "alloc_space"), 100 * SIZE);
    assert_eq!(allocated(&sums, "alloc_objects"), 100);
    assert_eq!(allocated(&sums, "inuse_space"), 0);

    let (_, sums) = memory.advance(app.get(HEAP));
    assert_eq!(allocated(&sums, "alloc_space"), 0);

    app.keep(50);
    let (_, sums) = memory.advance(app.get(HEAP));
    for kind in ["alloc_space", "inuse_space"] {
        assert_eq!(allocated(&sums, kind), 50 * SIZE, "{kind}");
    }
    let (_, sums) = memory.advance(app.get(HEAP));
    assert_eq!(allocated(&sums, "alloc_space"), 0);
    assert_eq!(allocated(&sums, "inuse_space"), 50 * SIZE);

    app.get("/release");
    let (_, sums) = memory.advance(app.get(HEAP));
    assert_eq!(allocated(&sums, "alloc_space"), 0);
    assert_eq!(allocated(&sums, "inuse_space"), 0);
}

#[test]
fn contention_is_exact() {
    let app = App::start();
    for path in ["/debug/pprof/mutex", "/debug/pprof/block"] {
        let mut contention = Loop::new(&CONTENTION);
        contention.advance(app.get(path));
        app.get("/contend?count=10&millis=20");
        let (_, sums) = contention.advance(app.get(path));
        let of_contend: Sums = sums
            .into_iter()
            .filter(|(stack, _)| stack.contains("main.contend"))
            .collect();
        // Blocked goroutines are the one that waits for the lock, and the one that waits for that one.
        assert!(
            total(&of_contend, "contentions") >= 10,
            "{path}: {of_contend:?}"
        );
        let delay = total(&of_contend, "delay");
        assert!(delay >= 150_000_000, "{path}: {delay} ns: {of_contend:?}");
    }
}

#[test]
fn stacks_without_addresses_have_exact_deltas() {
    let app = App::start();
    let mut memory = Loop::new(&MEMORY);
    let bare = || oracle::without_addresses(&app.get(HEAP));
    memory.advance(bare());
    app.allocate(100);
    let (_, sums) = memory.advance(bare());
    assert_eq!(allocated(&sums, "alloc_space"), 100 * SIZE);
}

#[test]
fn a_restart_sends_no_cumulative_value_and_the_next_delta_is_exact() {
    let mut memory = Loop::new(&MEMORY);
    let before = App::start();
    before.allocate(1_000);
    memory.advance(before.get(HEAP));
    drop(before);

    let after = App::start();
    after.keep(10);
    let (delta, sums) = memory.advance(after.get(HEAP));
    assert!(matches!(delta, Delta::Reset(Some(_))), "{delta:?}");
    assert_eq!(total(&sums, "alloc_space"), 0, "no spike");
    assert_eq!(allocated(&sums, "inuse_space"), 10 * SIZE);

    after.allocate(3);
    let (_, sums) = memory.advance(after.get(HEAP));
    assert_eq!(allocated(&sums, "alloc_space"), 3 * SIZE);
}

#[test]
fn two_processes_behind_one_address_never_yield_a_negative_value() {
    let (busy, idle) = (App::start(), App::start());
    let mut memory = Loop::new(&MEMORY);
    let mut resets = 0;
    for round in 0..6 {
        busy.allocate(100);
        let app = match round % 2 {
            0 => &busy,
            _ => &idle,
        };
        let (delta, sums) = memory.advance(app.get(HEAP));
        resets += u32::from(matches!(delta, Delta::Reset(_)));
        let mut values = sums.values().flat_map(|values| values.values());
        assert!(values.all(|value| *value > 0), "{sums:?}");
    }
    assert_eq!(resets, 3, "each profile of the idle process is a restart");
}

#[test]
fn profiles_of_godeltaprof_are_deltas_already() {
    let app = App::start();
    let path = "/debug/pprof/delta_heap?gc=1";
    app.get(path);
    app.allocate(100);
    let sums = oracle::sums(&app.get(path));
    assert_eq!(allocated(&sums, "alloc_space"), 100 * SIZE);
}
