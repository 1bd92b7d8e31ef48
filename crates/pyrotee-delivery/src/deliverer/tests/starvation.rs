//! Tests that a record that the target would accept arrives, whatever the target does to other records.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Number of classes of records: record `n` is of class `n % CLASSES`. A stretch hits some of the classes.
const CLASSES: usize = 4;

/// Longest time of an upload: [`Settings::timeout`].
const TIMEOUT: Duration = Duration::from_secs(10);

/// A record is given up after this many ambiguous uploads.
const MAX_AMBIGUOUS: usize = 5;

/// Longest `Retry-After` of a schedule, in seconds, without the random part that pyrotee adds.
const RETRY_AFTER: u64 = 20;

/// A stretch of time, and what the target does to the classes that it hits.
#[derive(Debug, Clone)]
struct Stretch {
    seconds: u64,
    act: Act,
    hits: [bool; CLASSES],
}

/// What a target does over time. The last of the `stretches` lasts for ever.
#[derive(Debug, Clone)]
struct Schedule {
    stretches: Vec<Stretch>,
    gaps: Vec<u64>,
    workers: usize,
    /// How long the target takes for a record that it accepts.
    takes: Duration,
}

impl Schedule {
    fn at(&self, mut seconds: u64) -> &Stretch {
        let (last, others) = self.stretches.split_last().expect("there is one");
        for stretch in others {
            if seconds < stretch.seconds {
                return stretch;
            }
            seconds -= stretch.seconds;
        }
        last
    }

    /// When the last stretch begins, in seconds.
    fn end(&self) -> u64 {
        let others = &self.stretches[..self.stretches.len() - 1];
        others.iter().map(|stretch| stretch.seconds).sum()
    }

    /// The second from which on the target would accept each record of the class; `None` if it never does.
    fn taken_from(&self, class: usize) -> Option<u64> {
        let hits = |stretch: &Stretch| stretch.hits[class];
        let last = self.stretches.last().expect("there is one");
        match (hits(last), self.stretches.iter().any(hits)) {
            (true, _) => None,
            (false, true) => Some(self.end()),
            (false, false) => Some(0),
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let refusal = prop_oneof![
        Just((500, "")),
        Just((502, "bad gateway")),
        Just((429, "")),
        Just((429, "Maximum active series limit exceeded (3/3)")),
        Just((
            429,
            "push rate limit (4.0 MiB) exceeded while adding 2.6 MiB"
        )),
        Just((
            422,
            "push rate limit (4.0 MiB) exceeded while adding 12 KiB"
        )),
        Just((422, "at least 1 live replicas required, could only find 0")),
        Just((422, "who knows")),
        Just((400, "")),
        Just((403, "")),
        Just((404, "")),
    ];
    let pause = (prop_oneof![Just(429), Just(503)], 0..=RETRY_AFTER);
    prop_oneof![
        4 => refusal.prop_map(|(status, text)| Act::answer(status, text)),
        1 => pause.prop_map(|(status, after)| Act::Answer {
            status,
            headers: vec![("Retry-After", after.to_string())],
            text: String::new(),
        }),
        1 => Just(Act::Hang),
        1 => Just(Act::CloseAfterBody { keep: false }),
        1 => Just(Act::CloseWithinBody),
    ]
}

/// A schedule whose last stretch does not hit one of the classes. If `few`, each stretch hits at most one class, and
/// there are enough workers even if each upload of that class takes until its timeout.
fn schedule(few: bool) -> impl Strategy<Value = Schedule> {
    let hits = move |bits: [bool; CLASSES], only: usize| match few {
        true => std::array::from_fn(|class| class == only),
        false => bits,
    };
    let stretch = (1..90_u64, act(), any::<[bool; CLASSES]>(), 0..CLASSES);
    let stretch = stretch.prop_map(move |(seconds, act, bits, only)| Stretch {
        seconds,
        act,
        hits: hits(bits, only),
    });
    (
        prop::collection::vec(stretch, 1..6),
        prop::collection::vec(if few { 200..4_000_u64 } else { 0..4_000 }, 1..60),
        if few { 32..65_usize } else { 1..20 },
        prop_oneof![Just(0), Just(2), 0..2_000_u64],
        0..CLASSES,
    )
        .prop_map(|(mut stretches, gaps, workers, takes, spared)| {
            let last = stretches.last_mut().expect("there is one");
            last.hits[spared] = false;
            Schedule {
                stretches,
                gaps,
                workers,
                takes: Duration::from_millis(takes),
            }
        })
}

/// What the test observed about one record.
#[derive(Debug)]
struct Observation {
    class: usize,
    offered: Instant,
    kept: Option<Instant>,
    rejected: bool,
    /// Uploads without a response: the target may have the record.
    ambiguous: usize,
}

impl Observation {
    fn is_given_up(&self) -> bool {
        self.rejected || self.ambiguous >= MAX_AMBIGUOUS
    }
}

/// Follows the schedule until the target has kept every record that it would accept, or pyrotee has given the record
/// up. Ends at the latest `bound` after the last record was offered and the last stretch began.
async fn follow(schedule: Schedule, bound: Duration) -> (Instant, Vec<Observation>) {
    let start = Instant::now();
    let script = schedule.clone();
    let ambiguous = Arc::new(Mutex::new(vec![0; schedule.gaps.len()]));
    let counts = Arc::clone(&ambiguous);
    let server = Server::new(move |upload| {
        let stretch = script.at(start.elapsed().as_secs());
        let number: usize = upload.name.parse().unwrap();
        match stretch.hits[number % CLASSES] {
            true => {
                if !matches!(stretch.act, Act::Answer { .. }) {
                    counts.lock().unwrap()[number] += 1;
                }
                stretch.act.clone()
            }
            false => Act::Take(script.takes),
        }
    });
    let settings = Settings {
        timeout: TIMEOUT,
        workers: schedule.workers,
        replay_rate: std::num::NonZeroU64::new(20_000),
        max_age: None,
        ..settings()
    };
    let rig = Rig::with(&settings, server);
    let mut observations = Vec::new();
    for (number, gap) in schedule.gaps.iter().enumerate() {
        // The surface changes every five records, the class every record: so each class is on each surface.
        let surface = Surface::ALL[number / 5 % 2];
        rig.offer_sized(surface, &number.to_string(), 500);
        observations.push(Observation {
            class: number % CLASSES,
            offered: Instant::now(),
            kept: None,
            rejected: false,
            ambiguous: 0,
        });
        tokio::time::sleep(Duration::from_millis(*gap)).await;
    }
    let end = Instant::now().max(start + Duration::from_secs(schedule.end())) + bound;
    loop {
        let mut kept = BTreeMap::new();
        rig.server.seen(|seen| {
            for (at, name) in &seen.kept {
                kept.entry(name.parse::<usize>().unwrap()).or_insert(*at);
            }
        });
        for (number, at) in kept {
            observations[number].kept = Some(at);
        }
        for letter in rig.dead_letters.lock().unwrap().iter() {
            let name = letter.split("name=").nth(1).unwrap();
            let number: usize = name.split(' ').next().unwrap().parse().unwrap();
            observations[number].rejected = true;
        }
        for (observed, count) in observations.iter_mut().zip(&*ambiguous.lock().unwrap()) {
            observed.ambiguous = *count;
        }
        let wanted = |observed: &Observation| schedule.taken_from(observed.class).is_some();
        let done = |observed: &Observation| observed.kept.is_some() || observed.is_given_up();
        let settled = observations
            .iter()
            .filter(|observed| wanted(observed))
            .all(done);
        if settled || Instant::now() > end {
            break;
        }
        pause(1.0).await;
    }
    rig.counts();
    rig.stop.cancel();
    rig.drained().await;
    (start, observations)
}

/// Fails if a record that the target would accept is not kept within `bound` after it was offered and would be
/// accepted, unless it was given up for failures of its own.
fn check(schedule: &Schedule, bound: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (start, observations) = runtime.block_on(follow(schedule.clone(), bound));
    for (number, observed) in observations.iter().enumerate() {
        let Some(from) = schedule.taken_from(observed.class) else {
            continue;
        };
        if observed.is_given_up() {
            assert_ne!(from, 0, "{number} never failed and was given up");
            continue;
        }
        let due = observed.offered.max(start + Duration::from_secs(from)) + bound;
        assert!(
            observed.kept.is_some_and(|at| at <= due),
            "{number} is late: {observed:?}, due {due:?}, from {start:?}"
        );
    }
}

/// A case simulates minutes, so there are fewer cases than in other property tests.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: (usual.cases / 4).min(1_024),
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    /// While circuit breakers are open, each probe is an upload of an untried record, or, if there is none, of the
    /// record that has waited longest. So before a record is probed there can be one probe with each other record,
    /// and each probe takes at most the longest delays of both breakers and two timeouts.
    #[test]
    fn no_schedule_starves_a_record_that_the_target_would_take(schedule in schedule(false)) {
        const LONGEST_DELAYS: Duration = Duration::from_secs(30 + 120);
        let others = u32::try_from(schedule.gaps.len()).unwrap();
        check(&schedule, (LONGEST_DELAYS + 2 * TIMEOUT) * (others + 1));
    }

    /// Of two records in a row, at most one is poison. So two probes in a row show whether the records or the target
    /// cause the failures. Each probe waits for a second, or for a timeout. Before the probes there may be one pause
    /// that the target asked for, or the backoff of a record that failed.
    #[test]
    fn a_quarter_of_poison_delays_no_other_record_by_more_than_a_minute(schedule in schedule(true)) {
        check(&schedule, Duration::from_secs(60));
    }
}
