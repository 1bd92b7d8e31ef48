//! Tests `tee.duplicates: drop` against a model, and with tries that overlap in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Runtime;
use tokio::time::{Instant, advance};

use super::exchange::{Exchange, Reading};
use super::retries::{LONG, Watched, watched};

/// How a try ends in the model.
#[derive(Debug, Clone, Copy)]
enum End {
    Success,
    EarlySuccess,
    Refused,
    EarlyRefused,
    Unreachable,
    Left,
    LeftHalfway,
}

const ENDS: [End; 7] = [
    End::Success,
    End::EarlySuccess,
    End::Refused,
    End::EarlyRefused,
    End::Unreachable,
    End::Left,
    End::LeftHalfway,
];

#[derive(Debug, Clone)]
struct Step {
    query: &'static str,
    body: (usize, u8),
    announced: bool,
    end: End,
    pause: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let query = prop::sample::select(vec!["a", "b"]);
    let len = prop::sample::select(vec![0, 5, LONG]);
    let end = prop::sample::select(ENDS.to_vec());
    let pause = prop::sample::select(vec![0, 1, 60, 120]);
    (query, (len, 0u8..2), any::<bool>(), end, pause).prop_map(
        |(query, body, announced, end, pause)| Step {
            query,
            body,
            announced,
            end,
            pause,
        },
    )
}

proptest! {
    #[test]
    fn a_try_is_teed_unless_the_same_failed_within_two_minutes(
        steps in prop::collection::vec(step(), 1..20),
    ) {
        paused().block_on(async {
            let watched = watched(0);
            let mut failed = BTreeMap::new();
            let (mut teed, mut repeated) = (0, 0);
            for step in &steps {
                let Step { query, body: (len, fill), announced, end, pause } = *step;
                advance(Duration::from_secs(pause)).await;
                let exchange = watched.begin(query, &vec![fill; len], announced);
                let whole = !matches!(end, End::LeftHalfway) || (len == 0 && announced);
                match end {
                    End::Success => exchange.read().respond(200).read(),
                    End::EarlySuccess => exchange.respond(200).read(),
                    End::Refused => exchange.read().respond(503).read(),
                    End::EarlyRefused => exchange.respond(413).read(),
                    End::Unreachable => exchange.read().fail().read(),
                    End::Left => drop(exchange.read()),
                    End::LeftHalfway => drop(exchange),
                }
                if !whole {
                    continue;
                }
                let fill = if len == 0 { 0 } else { fill };
                let key = (query, len, fill);
                let known = failed.get(&key).is_some_and(|until| *until > Instant::now());
                if known {
                    repeated += 1;
                } else {
                    teed += 1;
                }
                if matches!(end, End::Success | End::EarlySuccess) {
                    failed.remove(&key);
                } else {
                    failed.insert(key, Instant::now() + Duration::from_secs(120));
                }
                prop_assert_eq!(watched.counts(), (teed, repeated), "{:?}", step);
            }
            check_nothing_is_held(&watched).await;
            Ok(())
        })?;
    }

    #[test]
    fn tries_that_overlap_in_any_way_are_each_teed_or_repeated_and_leave_nothing_behind(
        steps in prop::collection::vec((0usize..4, any::<bool>(), 0u8..5), 1..60),
        len in prop::sample::select(vec![0, 5, LONG]),
    ) {
        paused().block_on(async {
            let watched = watched(0);
            let mut tries = [const { Stage::Gone }; 4];
            for (place, announced, action) in steps {
                let before = std::mem::replace(&mut tries[place], Stage::Gone);
                tries[place] = match (before, action) {
                    (Stage::Gone, _) => Stage::Begun(watched.begin("app", &vec![7; len], announced)),
                    (Stage::Begun(it), 0 | 1) => Stage::Begun(it.read()),
                    (Stage::Begun(it), 2) => Stage::Answered(it.respond(200)),
                    (Stage::Begun(it), 3) => Stage::Answered(it.respond(503)),
                    (Stage::Begun(it), 4) => Stage::Answered(it.fail()),
                    (Stage::Answered(it), 0..=3) => {
                        it.read();
                        Stage::Gone
                    }
                    (Stage::Begun(_) | Stage::Answered(_), _) => Stage::Gone,
                };
            }
            drop(tries);
            check_nothing_is_held(&watched).await;
        });
    }
}

/// State of a try between two steps.
enum Stage {
    Gone,
    Begun(Exchange),
    Answered(Reading),
}

fn paused() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap()
}

/// Checks that nothing is charged to the budget when all requests have ended and all records are delivered.
async fn check_nothing_is_held(watched: &Watched) {
    while watched.bench.ledger.snapshot().pending.profiles > 0 {
        watched.bench.deliver().await;
    }
    watched.counts();
    let budget = &watched.bench.budget;
    assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
}
