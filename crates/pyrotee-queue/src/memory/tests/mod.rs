mod race;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use crate::conformance;
use crate::{
    Budget, FRESH_FOR, Head, Headers, Lane, Ledger, Limits, Payload, RetryHistory, SurfaceId,
    Surfaces, WhenFull,
};

#[tokio::test(start_paused = true)]
async fn memory_passes_the_conformance_suite() {
    conformance::run(open).await;
}

const ANY: [LeaseFilter; 3] = LeaseFilter::ANY;

const LIMITS: Limits = Limits {
    records: 8,
    bytes: 100,
    when_full: WhenFull::DropOldest,
};

fn target(name: &str, limits: Limits, ledger: &Arc<Ledger>) -> TargetQueue {
    TargetQueue {
        name: name.to_owned(),
        limits,
        ledger: Arc::clone(ledger),
        sharing: None,
    }
}

fn opened(limits: Limits) -> (Arc<dyn Producer>, Arc<dyn Consumer>, Arc<Ledger>) {
    let ledger = Arc::<Ledger>::default();
    let mut backend = open([target("a", limits, &ledger)]);
    let queue = backend.queues.pop().expect("one target");
    (backend.producer, queue.consumer, ledger)
}

fn record(budget: &Arc<Budget>, surface: u8, name: &str, bytes: usize, second: u64) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(surface),
        query: name.into(),
        content_type: None,
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        captor_tags: None,
    };
    let reservation = budget.reserve(bytes as u64).expect("the budget suffices");
    Record::new(head, Payload::from(vec![0; bytes]), reservation)
}

#[tokio::test(start_paused = true)]
async fn a_record_that_has_waited_for_long_is_backlog() {
    let (producer, consumer, _ledger) = opened(LIMITS);
    let budget = Budget::new(1_000);
    let offer = |name| producer.offer(&record(&budget, 1, name, 1, 0));
    assert_eq!(offer("old").queued, 1);
    advance(FRESH_FOR - Duration::from_millis(1)).await;
    assert_eq!(offer("young").queued, 1);
    let lease = consumer.lease(&ANY).await.expect("one is ready");
    assert_eq!(
        (&*lease.record().head().query, lease.lane()),
        ("old", Lane::Fresh)
    );
    drop(lease);
    advance(Duration::from_millis(1)).await;
    for (name, lane) in [("young", Lane::Fresh), ("old", Lane::Backlog)] {
        let lease = consumer.lease(&ANY).await.expect("one is ready");
        assert_eq!((&*lease.record().head().query, lease.lane()), (name, lane));
        lease.ack();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Offer {
        surface: u8,
        bytes: usize,
    },
    Lease {
        lanes: usize,
        surface: u8,
        deferred: bool,
    },
    Ack(prop::sample::Index),
    Lose(prop::sample::Index),
    Release(prop::sample::Index),
    Retry {
        at: prop::sample::Index,
        seconds: u64,
        /// Failures while the target accepted other records; `None`: a retry without a failure.
        failures: Option<u32>,
    },
    Advance(u64),
    FallBehind,
    Expire(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4_u8, 0..40_usize).prop_map(|(surface, bytes)| Step::Offer { surface, bytes }),
        4 => (0..3_usize, 0..4_u8, any::<bool>())
            .prop_map(|(lanes, surface, deferred)| Step::Lease { lanes, surface, deferred }),
        1 => any::<prop::sample::Index>().prop_map(Step::Ack),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
        2 => (any::<prop::sample::Index>(), 0..50_u64, prop::option::weighted(0.7, 0..4_u32))
            .prop_map(|(at, seconds, failures)| Step::Retry { at, seconds, failures }),
        2 => (0..40_u64).prop_map(Step::Advance),
        1 => Just(Step::FallBehind),
        1 => (0..30_u64).prop_map(Step::Expire),
    ]
}

/// A queued or leased record in the model.
#[derive(Debug, Clone, Copy)]
struct Known {
    surface: u8,
    offered: Instant,
    due: Instant,
    bytes: u64,
    received: u64,
    /// Failures while the target accepted other records, and the time of the last failure.
    failed: Option<(u32, Instant)>,
}

/// The records that are evicted first, in order: those with the most failures while the target accepted others.
fn culprits(waiting: &BTreeMap<u64, Known>, acked_at: &BTreeMap<u8, Instant>) -> Vec<u64> {
    let mut found: Vec<_> = waiting
        .iter()
        .filter_map(|(number, known)| {
            let (failures, at) = known.failed?;
            let acked_since = acked_at
                .get(&known.surface)
                .is_some_and(|acked| *acked > at);
            (failures > 1 || acked_since).then_some((failures, *number))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, number)| number).collect()
}

proptest! {
    /// The queue leases the same records as a naive list that is searched from its beginning each time.
    #[test]
    fn the_queue_leases_what_a_plain_list_would(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(follow(steps));
    }
}

async fn follow(steps: Vec<Step>) {
    let (producer, consumer, ledger) = opened(LIMITS);
    let budget = Budget::new(1 << 20);
    let mut waiting = BTreeMap::<u64, Known>::new();
    let mut leased: Vec<(u64, Known, Lease)> = Vec::new();
    // Evicted records do not count against the limits, and are leased before all others.
    let mut evicted = BTreeMap::<u64, Known>::new();
    let mut leased_evicted: Vec<(u64, Known, Lease)> = Vec::new();
    let mut acked_at = BTreeMap::<u8, Instant>::new();
    let (mut offered, mut behind) = (0_u64, 0_u64);
    for step in steps {
        let now = Instant::now();
        match step {
            Step::Offer { surface, bytes } => {
                let known = Known {
                    surface,
                    offered: now,
                    due: now,
                    bytes: bytes as u64,
                    received: offered,
                    failed: None,
                };
                let held = |waiting: &BTreeMap<u64, Known>| {
                    let bytes: u64 = waiting.values().map(|known| known.bytes).sum();
                    bytes + leased.iter().map(|(_, known, _)| known.bytes).sum::<u64>()
                };
                let mut kept = waiting.clone();
                let fits = |kept: &BTreeMap<u64, Known>| {
                    kept.len() + leased.len() < LIMITS.records
                        && held(kept) + known.bytes <= LIMITS.bytes
                };
                let mut making_room = BTreeMap::new();
                for culprit in culprits(&waiting, &acked_at) {
                    if !fits(&kept) {
                        making_room.extend(kept.remove_entry(&culprit));
                    }
                }
                while !fits(&kept) && kept.pop_first().is_some() {}
                let taken = fits(&kept);
                let name = offered.to_string();
                let result = producer.offer(&record(&budget, surface, &name, bytes, offered));
                assert_eq!(result.queued == 1, taken);
                if taken {
                    kept.insert(offered, known);
                    waiting = kept;
                    evicted.extend(making_room);
                }
                offered += 1;
            }
            Step::Lease {
                lanes,
                surface,
                deferred,
            } => {
                let surfaces = match surface {
                    0 => Surfaces::ALL,
                    one => Surfaces::NONE.with(SurfaceId(one)),
                };
                let filters: Vec<_> = ANY
                    .into_iter()
                    .skip(lanes)
                    .map(|filter| LeaseFilter {
                        surfaces,
                        deferred,
                        ..filter
                    })
                    .collect();
                let old = |known: &Known| now - known.offered >= FRESH_FOR;
                let all = || waiting.iter().chain(&evicted);
                let is_backlog = |number: u64| {
                    number < behind || all().any(|(other, known)| *other >= number && old(known))
                };
                let lane_of = |number: u64, known: &Known| match known.failed {
                    Some(_) => Lane::Failed,
                    None if is_backlog(number) => Lane::Backlog,
                    None => Lane::Fresh,
                };
                let mut expected = evicted.keys().next().copied();
                for filter in &filters {
                    let mut fit: Vec<_> = waiting
                        .iter()
                        .filter(|(_, known)| surface == 0 || known.surface == surface)
                        .filter(|(_, known)| (known.due > now) == deferred)
                        .filter(|(number, known)| filter.lane == lane_of(**number, known))
                        .collect();
                    if deferred || filter.lane == Lane::Failed {
                        fit.sort_by_key(|(number, known)| (known.due, **number));
                    }
                    expected = expected.or(fit.first().map(|(number, _)| **number));
                }
                // A record that became backlog by age stays backlog, as do all records with lower numbers.
                let oldest_fresh = all()
                    .filter(|(_, known)| old(known))
                    .map(|(number, _)| *number);
                if let Some(number) = oldest_fresh.max() {
                    behind = behind.max(number + 1);
                }
                let lease = tokio_test::task::spawn(consumer.lease(&filters)).poll();
                let got = match lease {
                    std::task::Poll::Ready(lease) => lease,
                    std::task::Poll::Pending => None,
                };
                let number = got
                    .as_ref()
                    .map(|lease| lease.record().head().query.parse().unwrap());
                assert_eq!(number, expected, "{filters:?} of {waiting:?}");
                if let (Some(number), Some(lease)) = (number, got) {
                    assert_eq!(lease.is_evicted(), evicted.contains_key(&number));
                    match evicted.remove(&number) {
                        Some(known) => leased_evicted.push((number, known, lease)),
                        None => {
                            let known = waiting.remove(&number).unwrap();
                            leased.push((number, known, lease));
                        }
                    }
                }
            }
            Step::Ack(at) | Step::Lose(at) | Step::Release(at) | Step::Retry { at, .. }
                if !leased.is_empty() =>
            {
                let (number, known, lease) = leased.swap_remove(at.index(leased.len()));
                match step {
                    Step::Ack(_) => {
                        acked_at.insert(known.surface, now);
                        lease.ack();
                    }
                    Step::Lose(_) => lease.lose(Reason::Rejected),
                    Step::Retry {
                        seconds, failures, ..
                    } => {
                        let due = now + Duration::from_secs(seconds);
                        let history = RetryHistory {
                            failures: failures.map_or(0, |own| own + 1),
                            failures_while_healthy: failures.unwrap_or(0),
                            ..RetryHistory::default()
                        };
                        lease.retry(due, history);
                        let failed = failures.map(|own| (own, now));
                        waiting.insert(
                            number,
                            Known {
                                due,
                                failed,
                                ..known
                            },
                        );
                    }
                    _ => {
                        drop(lease);
                        waiting.insert(number, Known { due: now, ..known });
                    }
                }
            }
            Step::Advance(seconds) => advance(Duration::from_secs(seconds)).await,
            Step::FallBehind => {
                consumer.fall_behind();
                behind = offered;
            }
            Step::Expire(second) => {
                consumer.expire(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
                waiting.retain(|_, known| known.received >= second);
                evicted.retain(|_, known| known.received >= second);
            }
            // An evicted record is dropped, or released and leased again to be dropped.
            Step::Lose(at) | Step::Release(at) if !leased_evicted.is_empty() => {
                let at = at.index(leased_evicted.len());
                let (number, known, lease) = leased_evicted.swap_remove(at);
                match step {
                    Step::Lose(_) => lease.lose(Reason::Rejected),
                    _ => {
                        drop(lease);
                        evicted.insert(number, known);
                    }
                }
            }
            Step::Ack(_) | Step::Lose(_) | Step::Release(_) | Step::Retry { .. } => {}
        }
        let counts = ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(
            counts.pending.profiles,
            (waiting.len() + leased.len() + evicted.len() + leased_evicted.len()) as u64
        );
    }
}
