//! Threads that offer records while another one changes the list of targets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

const THREADS: usize = 4;
const OFFERS: usize = 3_000;
const NAMES: [&str; 4] = ["steady", "old", "new", "guest"];

const ROOMY: Limits = Limits {
    records: usize::MAX,
    bytes: u64::MAX,
    when_full: WhenFull::DropNewest,
};

/// The targets of the list after so many changes, as indices of [`NAMES`]: one that is always there, one that has one
/// name or the other, and one that comes and goes.
fn list(changes: usize) -> Vec<usize> {
    let renamed = 1 + changes % 2;
    match changes % 3 {
        0 => vec![0, renamed, 3],
        _ => vec![0, renamed],
    }
}

/// An offer, with the number of changes that had ended when it began, and of those that had begun when it ended.
struct Offer {
    name: String,
    changes: (usize, usize),
}

#[test]
fn every_offer_meets_one_list() {
    let ledgers: Vec<_> = NAMES.iter().map(|_| Arc::<Ledger>::default()).collect();
    let targets = |changes: usize| -> Vec<_> {
        let target = |index: usize| target(NAMES[index], ROOMY, &ledgers[index]);
        list(changes).into_iter().map(target).collect()
    };
    let backend = open(targets(0));
    let (begun, ended, stop) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let budget = Budget::new(1 << 30);
    let offers = Mutex::new(Vec::new());
    let consumers = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut consumers: [Option<Arc<dyn Consumer>>; NAMES.len()] = Default::default();
            let mut changes = 0;
            while !stop.load(SeqCst) {
                changes += 1;
                begun.store(changes, SeqCst);
                let opened = backend.registry.put_in_force(&targets(changes));
                ended.store(changes, SeqCst);
                for (index, queue) in list(changes).into_iter().zip(opened) {
                    consumers[index] = Some(queue.consumer);
                }
            }
            consumers
        });
        let offering: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (budget, offers, backend) = (&budget, &offers, &backend);
                let (begun, ended) = (&begun, &ended);
                scope.spawn(move || {
                    for number in 0..OFFERS {
                        let name = format!("{thread}-{number}");
                        let before = ended.load(SeqCst);
                        let offered = backend.producer.offer(&record(budget, 1, &name, 1, 0));
                        let changes = (before, begun.load(SeqCst));
                        assert!(offered.queued > 0, "the steady target takes it");
                        offers.lock().unwrap().push(Offer { name, changes });
                    }
                })
            })
            .collect();
        for thread in offering {
            thread.join().unwrap();
        }
        stop.store(true, SeqCst);
        changing.join().unwrap()
    });

    drop(backend.producer);
    let taken = consumers.map(|consumer| consumer.map_or_else(BTreeSet::new, |it| names(&*it)));
    let offers = offers.into_inner().unwrap();
    let accepted = |index: usize| ledgers[index].snapshot().accepted.profiles;
    let refused = |index: usize| ledgers[index].snapshot().refused.profiles;
    assert_eq!(accepted(0), (THREADS * OFFERS) as u64);
    assert_eq!(refused(0), 0);
    // One of the two names is in each list.
    assert_eq!(accepted(1) + accepted(2), (THREADS * OFFERS) as u64);
    assert_eq!(taken[1].intersection(&taken[2]).count(), 0);
    let mut undisturbed = 0;
    for offer in offers.iter().filter(|it| it.changes.0 == it.changes.1) {
        undisturbed += 1;
        for (index, taken) in taken.iter().enumerate() {
            let expected = list(offer.changes.0).contains(&index);
            assert_eq!(
                taken.contains(&offer.name),
                expected,
                "{} {index}",
                offer.name
            );
        }
    }
    println!(
        "{undisturbed} of {} offers met no change, {} changes; refused {}, {}, {}",
        offers.len(),
        ended.into_inner(),
        refused(1),
        refused(2),
        refused(3)
    );
    for ledger in &ledgers {
        assert!(ledger.snapshot().balance());
    }
}

/// The names of the records in a closed queue. Each comes once.
fn names(consumer: &dyn Consumer) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    while let std::task::Poll::Ready(Some(lease)) =
        tokio_test::task::spawn(consumer.lease(&ANY)).poll()
    {
        assert!(names.insert(lease.record().head().query.to_string()));
        lease.ack();
    }
    names
}
