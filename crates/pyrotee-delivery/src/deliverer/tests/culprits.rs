//! Measures how many good records arrive in time when a share of all records is poison.
//!
//! `make culprits` prints the table of docs/outage.md.

use std::collections::HashMap;

use super::*;

/// Share of the good records that must arrive within [`IN_TIME`].
const REQUIRED: f64 = 0.95;

/// Time from the offer of a good record to its arrival.
const IN_TIME: Duration = Duration::from_secs(10);

/// The largest share of poison, in percent, for which [`REQUIRED`] is promised.
const PROMISED_UP_TO: u64 = 30;

/// Shares of poison, in percent.
const SHARES: [u64; 5] = [1, 5, 10, 30, 50];

/// What the target does with poison, how many records are offered per second, and the timeout of an upload.
struct Kind {
    name: &'static str,
    act: Act,
    per_second: u64,
    timeout: Duration,
}

/// The surfaces of the records, which take turns.
const SURFACES: [(&str, &[Surface]); 3] = [
    ("ingest", &[Surface::Ingest]),
    ("push", &[Surface::Push]),
    ("mixed", &[Surface::Ingest, Surface::Push]),
];

fn kinds() -> Vec<Kind> {
    let kind = |name, act| Kind {
        name,
        act,
        per_second: 20,
        timeout: Duration::from_secs(10),
    };
    let answer = |name, status, text| kind(name, Act::answer(status, text));
    vec![
        answer("500", 500, "sorry"),
        answer("502", 502, "bad gateway"),
        answer("503", 503, "no backend"),
        answer("504", 504, "gateway timeout"),
        answer("429", 429, "slow down"),
        answer(
            "422 failure",
            422,
            "at least 1 live replicas required, could only find 0",
        ),
        answer("403", 403, "blocked"),
        answer("404", 404, "no such page"),
        kind("reset", Act::CloseWithinBody),
        Kind {
            per_second: 5,
            ..kind("hang, 10 s", Act::Hang)
        },
        Kind {
            per_second: 50,
            timeout: Duration::from_secs(1),
            ..kind("hang, 1 s", Act::Hang)
        },
    ]
}

/// The name of record `number`, which decides whether it is poison, with a probability of `share` percent.
fn name(number: u64, share: u64) -> String {
    let mut random = fastrand::Rng::with_seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let kind = if random.u64(0..100) < share {
        "bad"
    } else {
        "good"
    };
    format!("{kind}{number}")
}

/// The fraction of the good records that arrived in time. `name` returns the name of a record by its number.
async fn cell(kind: &Kind, surfaces: &[Surface], name: impl Fn(u64) -> String) -> f64 {
    let act = kind.act.clone();
    let server = Server::new(move |upload| match upload.name.starts_with("bad") {
        true => act.clone(),
        false => Act::Take(Duration::from_millis(2)),
    });
    let settings = Settings {
        timeout: kind.timeout,
        ..settings()
    };
    let limits = Limits {
        records: 100,
        ..LIMITS
    };
    let rig = Rig::with_limits(&settings, server, limits);
    let mut offered = HashMap::new();
    let gap = Duration::from_secs(1) / u32::try_from(kind.per_second).unwrap();
    for number in 0..kind.per_second * 30 {
        let name = name(number);
        let surface = surfaces[usize::try_from(number).unwrap() % surfaces.len()];
        rig.try_offer(surface, &name, 100);
        if name.starts_with("good") {
            offered.insert(name, Instant::now());
        }
        tokio::time::sleep(gap).await;
    }
    tokio::time::sleep(IN_TIME).await;
    let in_time = rig.server.seen(|seen| {
        let kept = seen.kept.iter().filter(|(at, name)| {
            let offered = offered.get(name);
            offered.is_some_and(|offered| *at - *offered <= IN_TIME)
        });
        kept.count()
    });
    rig.counts();
    rig.stop.cancel();
    rig.drained().await;
    in_time as f64 / offered.len() as f64
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn poison_does_not_hold_back_what_the_target_would_take() {
    let mut late = Vec::new();
    for (surface, surfaces) in SURFACES {
        println!(
            "\n| poison on {surface} | {} |",
            SHARES.map(|share| format!("{share} %")).join(" | ")
        );
        println!("|---|{}", "---|".repeat(SHARES.len()));
        for kind in kinds() {
            let in_time =
                SHARES.map(|share| run(cell(&kind, surfaces, |number| name(number, share))));
            let shown = in_time.map(|part| format!("{:.1}", part * 100.0));
            println!("| {} | {} |", kind.name, shown.join(" | "));
            for (share, part) in SHARES.iter().zip(in_time) {
                if *share <= PROMISED_UP_TO && part < REQUIRED {
                    late.push(format!("{surface}, {}, {share} %: {part:.3}", kind.name));
                }
            }
        }
    }
    assert!(late.is_empty(), "too many good ones came late: {late:#?}");
}

/// A row of poison, which happens by chance, looks like an outage. Only the first long delay follows, which is short.
#[test]
fn a_row_of_culprits_delays_the_good_ones_by_seconds_only() {
    let kinds = kinds();
    let failing = kinds
        .iter()
        .filter(|kind| ["500", "503", "429", "422 failure"].contains(&kind.name));
    for kind in failing {
        let name = |number| match (100..107).contains(&number) {
            true => format!("bad{number}"),
            false => format!("good{number}"),
        };
        let in_time = run(cell(kind, &[Surface::Ingest], name));
        assert!(in_time > 0.999, "{}: {in_time}", kind.name);
    }
}

/// Offers the same records to a healthy target, and to a target that does `kind` with poison. Both accept good records.
async fn beside_a_healthy_target(kind: &Kind, share: u64) {
    let act = kind.act.clone();
    let poisoned = Server::new(move |upload| match upload.name.starts_with("bad") {
        true => act.clone(),
        false => Act::OK,
    });
    let healthy = Server::new(|_| Act::OK);
    let limits = Limits {
        records: 100,
        ..LIMITS
    };
    let [poisoned, healthy] = Rig::side_by_side(&settings(), [poisoned, healthy], limits);
    let mut offered = HashMap::new();
    for number in 0..kind.per_second * 30 {
        let name = name(number, share);
        // The queue of the other target may be full.
        let _taken_by_both = poisoned.try_offer(Surface::Ingest, &name, 100);
        offered.insert(name, Instant::now());
        tokio::time::sleep(Duration::from_secs(1) / u32::try_from(kind.per_second).unwrap()).await;
    }
    let all = offered.len() as u64;
    let counts = healthy.counts();
    assert_eq!((counts.accepted.profiles, counts.sent.profiles), (all, all));
    healthy.server.seen(|seen| {
        assert_eq!(seen.kept.len(), offered.len());
        let at_once =
            |(at, name): &(Instant, String)| *at - offered[name] <= Duration::from_millis(10);
        assert!(seen.kept.iter().all(at_once), "{}", kind.name);
    });
    assert_eq!(poisoned.counts().accepted.profiles, all);
    poisoned.stop.cancel();
    // Both rigs share one budget, so both must have ended before the test checks the budget.
    let (mut poisoned, healthy) = (poisoned, healthy);
    poisoned.producer = None;
    (&mut poisoned.running).await.unwrap();
    healthy.drained().await;
    assert!(poisoned.ledger.snapshot().balance());
}

#[test]
fn poison_of_one_target_changes_nothing_for_a_healthy_one_beside_it() {
    for kind in kinds() {
        if ["500", "429", "hang, 10 s"].contains(&kind.name) {
            run(beside_a_healthy_target(&kind, 30));
        }
    }
}
