//! Tests that the ledger balances whatever a target does, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A stretch of time, and what the target does during it.
#[derive(Debug, Clone)]
struct Stretch {
    seconds: u64,
    accepts: bool,
    act: Act,
    /// The target does `act` with one upload in this many, and acknowledges the others.
    every: usize,
}

fn act() -> impl Strategy<Value = Act> {
    let refusal = prop_oneof![
        Just((500, "")),
        Just((503, "unavailable")),
        Just((429, "")),
        Just((422, "push rate limit (4.0 MiB) exceeded")),
        Just((422, "invalid_argument: no")),
        Just((422, "who knows")),
        Just((400, "")),
        Just((401, "")),
        Just((404, "")),
        Just((501, "")),
    ];
    prop_oneof![
        4 => refusal.prop_map(|(status, text)| Act::answer(status, text)),
        1 => (0..20_u64).prop_map(|after| Act::Answer {
            status: 503,
            headers: vec![("Retry-After", after.to_string())],
            text: String::new(),
        }),
        1 => Just(Act::Hang),
        1 => (0..15_000_u64).prop_map(|millis| Act::Take(Duration::from_millis(millis))),
        2 => any::<bool>().prop_map(|keep| Act::CloseAfterBody { keep }),
        1 => Just(Act::CloseWithinBody),
    ]
}

fn stretch() -> impl Strategy<Value = Stretch> {
    (1..90_u64, prop::bool::weighted(0.8), act(), 1..5_usize).prop_map(
        |(seconds, accepts, act, every)| Stretch {
            seconds,
            accepts,
            act,
            every,
        },
    )
}

/// The stretch of the schedule after this many seconds; `None` after its end, when the target accepts everything.
fn at(schedule: &[Stretch], mut seconds: u64) -> Option<&Stretch> {
    for stretch in schedule {
        if seconds < stretch.seconds {
            return Some(stretch);
        }
        seconds -= stretch.seconds;
    }
    None
}

async fn follow(schedule: Vec<Stretch>, gaps: Vec<u64>, on_ambiguous: OnAmbiguous, workers: usize) {
    let start = Instant::now();
    let now = move || start.elapsed().as_secs();
    let doors = schedule.clone();
    let server = Server::with_door(
        move || at(&doors, now()).is_none_or(|stretch| stretch.accepts),
        move |upload| match at(&schedule, now()) {
            Some(stretch) if upload.index % stretch.every == 0 => stretch.act.clone(),
            _ => Act::OK,
        },
    );
    let settings = Settings {
        on_ambiguous,
        workers,
        replay_rate: std::num::NonZeroU64::new(20_000),
        max_age: None,
        ..settings()
    };
    let rig = Rig::with(&settings, server);
    for (number, gap) in gaps.iter().enumerate() {
        let surface = Surface::ALL[number % 2];
        // A Push has no name in its query, but it may have a query.
        rig.offer_sized(surface, &number.to_string(), 500 + number);
        tokio::time::sleep(Duration::from_millis(*gap)).await;
        rig.counts();
        let status = rig.monitor.status();
        assert!(status.in_flight <= workers + 2, "{status:?}");
        assert!((1..=workers).contains(&status.limit), "{status:?}");
    }
    let counts = rig.settled().await;
    assert_eq!(counts.accepted.profiles, gaps.len() as u64);
    assert_eq!(counts.pending.profiles, 0);
    let mut kept = BTreeMap::<String, usize>::new();
    rig.server.seen(|seen| {
        for (_, name) in &seen.kept {
            *kept.entry(name.clone()).or_default() += 1;
        }
    });
    // The target keeps every record that counts as sent. Any other record that it keeps was dropped.
    let lost = counts.accepted.profiles - counts.sent.profiles;
    let distinct = kept.keys().collect::<BTreeSet<_>>().len() as u64;
    assert!(distinct >= counts.sent.profiles && distinct <= counts.sent.profiles + lost);
    for reason in Reason::ALL {
        // With `OnAmbiguous::Retry`, `Ambiguous` is a record whose uploads were ambiguous too often.
        let expected = matches!(reason, Reason::Rejected | Reason::Ambiguous);
        assert!(
            expected || counts.dropped(reason).profiles == 0,
            "{reason:?}"
        );
    }
    let status = rig.monitor.status();
    assert_eq!(status.in_flight, 0);
    rig.drained().await;
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
    #[test]
    fn the_ledger_holds_under_any_schedule_of_faults(
        schedule in prop::collection::vec(stretch(), 0..8),
        gaps in prop::collection::vec(0..4_000_u64, 1..60),
        drop in any::<bool>(),
        workers in 1..20_usize,
    ) {
        let on_ambiguous = if drop { OnAmbiguous::Drop } else { OnAmbiguous::Retry };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(follow(schedule, gaps, on_ambiguous, workers));
    }
}
