use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use crate::conformance;
use crate::{
    Budget, FRESH_FOR, Head, Headers, Lane, Payload, RetryHistory, SurfaceId, Surfaces, WhenFull,
};

#[tokio::test(start_paused = true)]
async fn memory_passes_the_conformance_suite() {
    conformance::run(open).await;
}

const ANY: [LeaseFilter; 2] = LeaseFilter::ANY;

const LIMITS: Limits = Limits {
    records: 8,
    bytes: 100,
    when_full: WhenFull::DropOldest,
};

fn opened(limits: Limits) -> (Arc<dyn Producer>, Arc<dyn Consumer>, Arc<Ledger>) {
    let ledger = Arc::<Ledger>::default();
    let (producer, mut consumers) = open([(limits, Arc::clone(&ledger))]);
    let consumer = consumers.pop().expect("one target");
    (producer, consumer, ledger)
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
    Retry(prop::sample::Index, u64),
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
        2 => (any::<prop::sample::Index>(), 0..50_u64).prop_map(|(at, s)| Step::Retry(at, s)),
        2 => (0..40_u64).prop_map(Step::Advance),
        1 => Just(Step::FallBehind),
        1 => (0..30_u64).prop_map(Step::Expire),
    ]
}

/// What the model knows of a record that waits.
#[derive(Debug, Clone, Copy)]
struct Known {
    surface: u8,
    offered: Instant,
    due: Instant,
    bytes: u64,
    received: u64,
}

proptest! {
    /// A naive list of records, searched from its beginning each time, answers every lease alike.
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
                while !fits(&kept) && kept.pop_first().is_some() {}
                let taken = fits(&kept);
                let name = offered.to_string();
                let result = producer.offer(&record(&budget, surface, &name, bytes, offered));
                assert_eq!(result.queued == 1, taken);
                if taken {
                    kept.insert(offered, known);
                    waiting = kept;
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
                let is_backlog = |number: u64| {
                    number < behind || waiting.range(number..).any(|(_, known)| old(known))
                };
                let mut expected = None;
                for filter in &filters {
                    let mut fit: Vec<_> = waiting
                        .iter()
                        .filter(|(_, known)| surface == 0 || known.surface == surface)
                        .filter(|(_, known)| (known.due > now) == deferred)
                        .filter(|(number, _)| {
                            (filter.lane == Lane::Backlog) == is_backlog(**number)
                        })
                        .collect();
                    if deferred {
                        fit.sort_by_key(|(number, known)| (known.due, **number));
                    }
                    expected = expected.or(fit.first().map(|(number, _)| **number));
                }
                // Whatever turns old is backlog for ever, together with what came before it.
                if let Some((number, _)) = waiting.iter().rfind(|(_, known)| old(known)) {
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
                    let known = waiting.remove(&number).unwrap();
                    leased.push((number, known, lease));
                }
            }
            Step::Ack(at) | Step::Lose(at) | Step::Release(at) | Step::Retry(at, _)
                if !leased.is_empty() =>
            {
                let (number, known, lease) = leased.swap_remove(at.index(leased.len()));
                match step {
                    Step::Ack(_) => lease.ack(),
                    Step::Lose(_) => lease.lose(Reason::Rejected),
                    Step::Retry(_, seconds) => {
                        let due = now + Duration::from_secs(seconds);
                        lease.retry(due, RetryHistory::default());
                        waiting.insert(number, Known { due, ..known });
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
            }
            Step::Ack(_) | Step::Lose(_) | Step::Release(_) | Step::Retry(..) => {}
        }
        let counts = ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(
            counts.pending.profiles,
            (waiting.len() + leased.len()) as u64
        );
    }
}
