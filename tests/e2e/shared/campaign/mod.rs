//! Three relays share a backlog, their target fails and is away at times, and all the while a relay is killed or stopped
//! or the broker is killed or hangs, or the line between both is cut. Only what killed relays held in memory is lost, and
//! only what was in flight at a strike arrives twice.

mod fleet;
mod journal;
mod strikes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use self::{fleet::Fleet, journal::Journal, strikes::Struck};
use crate::support::{Answer, Arrival, Upstream, eventually, key::Key, nats::Nats, nightly, poll};

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

/// Responses to clients before the first strike, with which those during the strikes are compared.
const CALM: usize = 250;

/// Response time that 99 % of the responses keep, if 99 % kept `calm` before the first strike. The rest is for a busy
/// machine: a response that waits for the broker takes as long as a strike, half a second or more.
fn prompt(calm: Duration) -> Duration {
    5 * calm + Duration::from_millis(50)
}

/// What a relay may take beside its memory before the first strike, in bytes: 8 MiB that are being published, and as much
/// for a few thousand small profiles that wait, in a debug build.
const GROWTH: u64 = 16 << 20;

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
    let mut strikes = 0_u32;
    let calm = thread::scope(|scope| {
        for slot in fleet.slots() {
            scope.spawn({
                let (journal, stop) = (Arc::clone(&journal), Arc::clone(&stop));
                move || fleet::feed(&slot, &journal, &stop)
            });
        }
        // A panic of this thread must end the others.
        let _stop = StopGuard(&stop);
        eventually(SETTLED, "responses before the first strike", || {
            journal.responses() >= CALM
        });
        let calm = (journal.p99(), fleet.most_memory());
        let begun = Instant::now();
        while begun.elapsed() < length() {
            let span = begun.elapsed().as_secs() / SPAN.as_secs();
            is_away.store(span % 3 == 1, SeqCst);
            thread::sleep(STRIKES);
            strikes += 1;
            let is_other = strikes / 4 % 2 == 1;
            match strikes % 4 {
                1 if is_other => hang_broker(&nats, &mut dice, &mut fleet),
                1 => kill_broker(&mut nats, &mut dice, &mut fleet, &journal),
                3 => fleet.cut(!is_other, &mut dice, &journal),
                _ if dice.roll(3) == 0 => fleet.terminate(&mut dice),
                _ => fleet.kill(&mut dice, &journal),
            }
        }
        calm
    });
    is_away.store(false, SeqCst);
    is_well.store(true, SeqCst);
    let settled = poll(SETTLED, || {
        (nats.stored() == 0 && fleet.pending() == 0).then_some(())
    });
    let verdict = journal.judge(HANDED_OVER);
    eprintln!(
        "{strikes} strikes: {} answered, {} arrived, {} missing, {} doubled, p99 of the responses {:?}, most memory {}; \
         before the first strike {calm:?}",
        verdict.answered,
        verdict.arrived,
        verdict.missing.values().sum::<u64>(),
        verdict.doubled,
        verdict.p99,
        fleet.most_memory(),
    );
    for strike in &verdict.strikes {
        eprintln!("{strike:?}");
    }
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
    let unexplained = &verdict.unexplained;
    assert!(
        unexplained.is_empty(),
        "doubled without a strike: {verdict:?}"
    );
    for strike in &verdict.strikes {
        assert!(!strike.is_exceeded(), "{strike:?}");
    }
    assert!(verdict.p99 < prompt(calm.0), "{calm:?}: {verdict:?}");
    let most = fleet.most_memory();
    assert!(most < calm.1 + GROWTH, "{most} bytes, {calm:?} before");
}

/// Kills the broker, and starts it again.
fn kill_broker(nats: &mut Nats, dice: &mut Dice, fleet: &mut Fleet, journal: &Journal) {
    let from = Instant::now();
    nats.kill();
    thread::sleep(Duration::from_millis(500 + dice.roll(1_500)));
    nats.restart();
    journal.struck(Struck::Broker, from);
    fleet.is_mended();
}

/// Has the broker hang for a while.
fn hang_broker(nats: &Nats, dice: &mut Dice, fleet: &mut Fleet) {
    nats.suspend();
    thread::sleep(Duration::from_millis(500 + dice.roll(2_500)));
    nats.resume();
    fleet.is_mended();
}

/// Stops the clients when the test ends, even by a panic.
struct StopGuard<'a>(&'a AtomicBool);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
