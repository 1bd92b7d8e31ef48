//! Records that end the process whenever they are delivered, and processes that are killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{LeaseFilter, Reason};
use pyrotee_segments::testing::of_version;
use tokio::time::timeout;

use super::sim::Sim;
use super::support::{TestSpool, eventually, name, open, settings};
use crate::Settings;

/// Shorter than `Settings::trial` in [`watched`].
const MOMENT: Duration = Duration::from_millis(20);

/// Settings that count lives.
fn watched() -> Settings {
    Settings {
        short_life: Duration::from_secs(60),
        trial: Duration::from_millis(200),
        save_after: Duration::from_millis(1),
        ..settings(Path::new(""))
    }
}

/// The directory of a closed spool with this many records.
async fn filled(records: usize, targets: &[&str]) -> Arc<Sim> {
    let sim = Sim::new();
    let spool = open(&sim, watched(), targets);
    spool.fill(records).await;
    spool.close();
    sim
}

fn names(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<String> {
    let name = |number| format!("{number}-1000");
    numbers.into_iter().map(name).collect()
}

/// One life: delivers the records of the first target, a few at a time, until none is left (`None`) or the record named
/// `lethal` is leased. Then the process is killed. Returns the directory that it leaves.
async fn live(sim: &Arc<Sim>, lethal: &str, delivered: &mut BTreeSet<String>) -> Option<Arc<Sim>> {
    let spool = open(sim, watched(), &["a", "b"]);
    let mut held = Vec::new();
    while spool.counts(0).pending.profiles > 0 {
        let lease = timeout(MOMENT, spool.consumers[0].lease(&LeaseFilter::ANY)).await;
        if let Ok(lease) = lease {
            let lease = lease.expect("the producer is there");
            if lease.is_evicted() {
                assert_eq!(name(&lease), lethal);
                assert_eq!(lease.history().ended_processes, 3);
                lease.lose(Reason::Undecodable);
                continue;
            }
            if name(&lease) == lethal {
                return Some(sim.after_kill());
            }
            held.push(lease);
            if held.len() < 8 {
                continue;
            }
        }
        for lease in held.drain(..) {
            delivered.insert(name(&lease));
            lease.ack();
        }
    }
    assert_eq!(spool.lost(0, Reason::Undecodable), 1);
    assert_eq!(
        spool.counts(1).pending.profiles,
        30,
        "it is not lethal for the other target"
    );
    spool.close();
    None
}

#[tokio::test]
async fn a_record_that_ends_the_process_is_set_aside_and_no_other() {
    let mut sim = filled(30, &["a", "b"]).await;
    let (mut delivered, mut lives) = (BTreeSet::new(), 1);
    while let Some(left) = live(&sim, "13-1000", &mut delivered).await {
        sim = left;
        lives += 1;
        assert!(lives < 20, "after a handful of lives");
    }
    assert!(lives >= 7, "three to be careful, three to be sure: {lives}");
    assert_eq!(delivered, names((0..13).chain(14..30)));
    // The next life has nothing to deliver, and is not careful.
    let spool = open(&sim, watched(), &["a", "b"]);
    assert_eq!(spool.counts(0).pending.profiles, 0);
    assert!(!spool.monitor.stats().careful);
}

/// A life of a healthy process whose target hangs and which is killed after `length`. Returns the directory that it
/// leaves.
async fn killed_after(sim: &Arc<Sim>, settings: Settings, length: Duration) -> Arc<Sim> {
    let spool = open(sim, settings, &["a"]);
    let mut held = Vec::new();
    let leasing = async {
        while let Some(lease) = spool.consumers[0].lease(&LeaseFilter::ANY).await {
            assert!(!lease.is_evicted(), "{}", name(&lease));
            held.push(lease);
        }
    };
    timeout(length, leasing).await.ok();
    sim.after_kill()
}

#[tokio::test]
async fn kills_of_a_healthy_process_set_nothing_aside() {
    // The processes are killed before a suspect is tried, or after it has passed its trial.
    let trial = watched().trial;
    for (lives, length) in [(20, trial / 4), (8, 17 * trial)] {
        let settings = Settings {
            // Short trials keep the second case short.
            trial: if lives == 20 { trial } else { MOMENT },
            ..watched()
        };
        let length = if lives == 20 { length } else { 17 * MOMENT };
        let mut sim = filled(30, &["a"]).await;
        for _ in 0..lives {
            sim = killed_after(&sim, settings.clone(), length).await;
        }
        let spool = open(&sim, settings, &["a"]);
        let mut delivered = BTreeSet::new();
        for _ in 0..30 {
            let lease = spool.lease(0).await;
            assert!(!lease.is_evicted());
            delivered.insert(name(&lease));
            lease.ack();
        }
        assert_eq!(delivered, names(0..30));
        assert_eq!(spool.counts(0).sent.profiles, 30);
    }
}

/// Three lives that end with so many records in flight. Returns the directory that they leave.
async fn three_short_lives(in_flight: usize) -> Arc<Sim> {
    let mut sim = filled(10, &["a", "b"]).await;
    for _ in 0..3 {
        let spool = open(&sim, watched(), &["a", "b"]);
        let mut held = Vec::new();
        for number in 0..in_flight {
            held.push(spool.lease(number % 2).await);
        }
        sim = sim.after_kill();
    }
    sim
}

#[tokio::test]
async fn a_careful_process_tries_what_was_in_flight_one_at_a_time() {
    let sim = three_short_lives(4).await;
    let spool = open(&sim, watched(), &["a", "b"]);
    assert!(spool.monitor.stats().careful);
    assert!(spool.keep("10-1000").await, "records are still queued");
    let mut tried = Vec::new();
    for target in [0, 1, 1, 0] {
        let lease = spool.lease(target).await;
        for other in 0..2 {
            let another = spool.consumers[other].lease(&LeaseFilter::ANY);
            assert!(timeout(MOMENT, another).await.is_err(), "one at a time");
        }
        tried.push(name(&lease));
        lease.ack();
    }
    assert_eq!(tried, ["0-1000", "0-1000", "1-1000", "1-1000"]);
    eventually("it is not careful any more", || {
        !spool.monitor.stats().careful
    })
    .await;
    let leases = [
        spool.lease(0).await,
        spool.lease(0).await,
        spool.lease(1).await,
    ];
    let names = leases.each_ref().map(name);
    assert!(names.contains(&"10-1000".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_careful_process_tries_what_a_draining_target_had_in_flight_before_what_others_get() {
    let sim = three_short_lives(2).await;
    let mut spool = open(&sim, watched(), &["a", "b"]);
    assert!(spool.monitor.stats().careful);
    spool.put_in_force(&["b", "c"]);
    assert!(spool.keep("10-1000").await);
    let joined = spool.consumers[2].lease(&LeaseFilter::ANY);
    assert!(timeout(MOMENT, joined).await.is_err(), "what is new waits");
    spool.lease(1).await.ack();
    let joined = spool.consumers[2].lease(&LeaseFilter::ANY);
    assert!(timeout(MOMENT, joined).await.is_err(), "one is on trial");
    assert_eq!(name(&spool.lease(0).await), "0-1000");
    // Nobody tries it any more.
    spool.registry.end_draining(spool.ids[0]);
    assert_eq!(name(&spool.lease(2).await), "10-1000");
    assert!(!spool.monitor.stats().careful);
}

#[tokio::test]
async fn a_careful_process_waits_no_longer_than_a_short_life_lasts() {
    let sim = three_short_lives(4).await;
    let short = Settings {
        short_life: Duration::from_millis(300),
        ..watched()
    };
    let spool = open(&sim, short, &["a", "b"]);
    assert!(spool.monitor.stats().careful);
    let hangs = spool.lease(0).await;
    let other = spool.lease(1).await;
    assert!(!spool.monitor.stats().careful);
    drop((hangs, other));
}

#[tokio::test]
async fn a_life_that_lasts_or_ends_well_starts_the_count_anew() {
    for ends_well in [true, false] {
        let sim = three_short_lives(4).await;
        let short_life = match ends_well {
            true => watched().short_life,
            false => Duration::from_millis(10),
        };
        let settings = Settings {
            short_life,
            ..watched()
        };
        let spool = open(&sim, settings, &["a", "b"]);
        let sim = if ends_well {
            spool.close();
            sim
        } else {
            // The process is careful for one `short_life`, and counts as short for another.
            tokio::time::sleep(MOMENT * 10).await;
            sim.after_kill()
        };
        let TestSpool { monitor, .. } = open(&sim, watched(), &["a", "b"]);
        assert!(!monitor.stats().careful, "{ends_well}");
    }
}

#[tokio::test]
async fn a_damaged_file_of_lives_suspects_nobody_and_a_newer_one_is_left_alone() {
    for version in [1, 2] {
        let sim = three_short_lives(4).await;
        let mut before = Vec::new();
        sim.tamper("lives", |bytes| {
            match version {
                1 => bytes[30] ^= 1,
                _ => *bytes = of_version(bytes.clone(), 2),
            }
            before.clone_from(bytes);
        });
        let spool = open(&sim, watched(), &["a", "b"]);
        assert!(!spool.monitor.stats().careful);
        for pending in spool.pending().await {
            assert_eq!(BTreeSet::from_iter(pending), names(0..10));
        }
        sim.tamper("lives", |bytes| assert_eq!(*bytes == before, version == 2));
    }
}
