//! Three relays share a backlog, their target fails and is away at times, and all the while a relay is killed or stopped
//! or the broker is killed or hangs. Only what killed relays held in memory is lost.

mod fleet;
mod journal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use self::{fleet::Fleet, journal::Journal};
use crate::support::{Answer, Arrival, Upstream, key::Key, nats::Nats, nightly, poll};

/// How long relays and broker are killed.
fn length() -> Duration {
    Duration::from_secs(if nightly() { 600 } else { 18 })
}

/// Interval between two strikes.
const STRIKES: Duration = Duration::from_millis(1_300);

/// The target is away for the second of three such spans.
const SPAN: Duration = Duration::from_secs(6);

/// Longest time until everything is delivered: leases of killed relays end after 30 s, and the probes of three relays
/// are up to 90 s apart.
const SETTLED: Duration = Duration::from_secs(150);

/// Age at which a profile is certainly in the stream, with `after: 1s` on a busy machine.
const HANDED_OVER: Duration = Duration::from_secs(4);

/// Profiles whose acknowledgement a broker may lose when it is killed or hangs, at most: three relays with a buffer, and
/// with uploads in flight.
const PER_BROKER_FAULT: u64 = 3 * (8 + 32);

/// Most memory of a relay, in bytes: a debug build with a thousand small profiles.
const RSS: u64 = 96 << 20;

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
}

/// A target that counts, fails at times, and is away while `is_away`.
fn target(
    journal: &Arc<Journal>,
    is_away: &Arc<AtomicBool>,
    is_well: &Arc<AtomicBool>,
) -> Upstream {
    let (journal, is_away) = (Arc::clone(journal), Arc::clone(is_away));
    let (is_well, count) = (Arc::clone(is_well), AtomicUsize::new(0));
    Upstream::script(move |arrival: &Arrival<'_>| {
        let app = Key::of(&arrival.head.query()).app;
        let number = app.trim_start_matches("app").parse();
        let number = number.expect("it is a number");
        journal.tried(number);
        if is_away.load(SeqCst) {
            return Answer::status(503, b"away");
        }
        let answer = match count.fetch_add(1, SeqCst) % 60 {
            _ if is_well.load(SeqCst) => Answer::ok(),
            7 => return Answer::status(503, b"unavailable"),
            19 => return Answer::hang_up(),
            31 => return Answer::raw(b"").reset(),
            43 => Answer::ok().after(Duration::from_millis(50)),
            _ => Answer::ok(),
        };
        journal.had(number);
        answer
    })
}

#[test]
fn only_the_memory_of_killed_relays_is_lost_whenever_relays_and_broker_are_killed() {
    let journal = Arc::new(Journal::default());
    let [is_away, is_well, stop] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let target = target(&journal, &is_away, &is_well);
    let mut nats = Nats::start();
    let mut fleet = Fleet::start(&nats, &target);
    let mut dice = Dice(2_025);
    let (mut strikes, mut broker_faults) = (0_u32, 0_u64);
    thread::scope(|scope| {
        for slot in fleet.slots() {
            scope.spawn({
                let (journal, stop) = (Arc::clone(&journal), Arc::clone(&stop));
                move || fleet::feed(&slot, &journal, &stop)
            });
        }
        let begun = Instant::now();
        // A panic of this thread must end the others.
        let _stop = StopGuard(&stop);
        while begun.elapsed() < length() {
            let span = begun.elapsed().as_secs() / SPAN.as_secs();
            is_away.store(span % 3 == 1, SeqCst);
            thread::sleep(STRIKES);
            strikes += 1;
            match strikes % 6 {
                3 => {
                    broker_faults += 1;
                    strike_broker(&mut nats, &mut dice, &mut fleet);
                }
                _ if dice.roll(3) == 0 => fleet.terminate(&mut dice),
                _ => fleet.kill(&mut dice, &journal),
            }
        }
    });
    is_away.store(false, SeqCst);
    is_well.store(true, SeqCst);
    let settled = poll(SETTLED, || {
        (nats.stored() == 0 && fleet.pending() == 0).then_some(())
    });
    let verdict = journal.judge(HANDED_OVER);
    eprintln!(
        "{strikes} strikes, {broker_faults} of them at the broker: {} answered, {} arrived, {} missing, {} doubled, \
         p99 of the responses {:?}",
        verdict.answered,
        verdict.arrived,
        verdict.missing.values().sum::<u64>(),
        verdict.doubled,
        verdict.p99,
    );
    assert!(
        settled.is_some(),
        "{} are stored, {} pending",
        nats.stored(),
        fleet.pending()
    );
    assert!(
        verdict.answered > 20 * usize::try_from(length().as_secs()).unwrap(),
        "{verdict:?}"
    );
    for (life, missing) in &verdict.missing {
        let held = journal.held(*life);
        let held = held.unwrap_or_else(|| panic!("life {life} was not killed: {verdict:?}"));
        assert!(
            *missing <= held.pending,
            "life {life} held {held:?}: {verdict:?}"
        );
    }
    assert_eq!(verdict.too_old, [], "{verdict:?}");
    let may_double =
        journal.in_flight() + broker_faults * PER_BROKER_FAULT + fleet.possibly_doubled();
    assert!(
        verdict.doubled <= may_double,
        "{may_double} may double: {verdict:?}"
    );
    assert!(verdict.p99 < Duration::from_secs(1), "{verdict:?}");
    assert!(fleet.most_memory() < RSS, "{} bytes", fleet.most_memory());
}

/// Kills the broker or has it hang, and mends it.
fn strike_broker(nats: &mut Nats, dice: &mut Dice, fleet: &mut Fleet) {
    if dice.roll(2) == 0 {
        nats.kill();
        thread::sleep(Duration::from_millis(500 + dice.roll(1_500)));
        nats.restart();
    } else {
        nats.suspend();
        thread::sleep(Duration::from_millis(500 + dice.roll(2_500)));
        nats.resume();
    }
    fleet.broker_is_mended();
}

/// Stops the clients when the test ends, even by a panic.
struct StopGuard<'a>(&'a AtomicBool);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
