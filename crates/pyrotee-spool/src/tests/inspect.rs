//! What is told of a directory by those who only look at it: the truth, and nothing is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyrotee_queue::{Budget, Reason, Tally};

use super::damage::{NAMES, RECORDS, TABLE, left_behind, lost};
use super::sim::Sim;
use super::support::{body, head, open, settings};
use crate::format::{CURSORS, of_a_newer_version};
use crate::inspect::{Directory, Finding, InspectError, Select, Standing, Verdict, What};
use crate::storage::{Storage, read_up_to};

fn look(sim: &Arc<Sim>) -> Directory {
    Directory::of(Arc::clone(sim) as Arc<dyn Storage>)
}

/// Every file and what is in it.
fn content(sim: &Sim) -> BTreeMap<String, Vec<u8>> {
    let files = sim.list().unwrap().into_iter();
    let read = files.map(|(name, len)| {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let file = sim.open(&name).unwrap();
        assert_eq!(read_up_to(&*file, 0, &mut bytes).unwrap(), bytes.len());
        (name, bytes)
    });
    read.collect()
}

/// The verdict on a directory of which not a byte changes.
fn verify(sim: &Arc<Sim>) -> Verdict {
    let (before, changes) = (content(sim), sim.changes());
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    let on_read: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |bytes| {
        counted.fetch_add(bytes, Relaxed);
    });
    let verdict = look(sim).verify(&on_read).unwrap();
    assert_eq!(content(sim), before);
    assert_eq!(sim.changes(), changes);
    assert_eq!(read.load(Relaxed), verdict.bytes, "every byte, once");
    verdict
}

fn hurt(verdict: &Verdict) -> [usize; 2] {
    NAMES.map(|name| usize::try_from(*verdict.hurt.get(name).unwrap_or(&0)).unwrap())
}

#[tokio::test]
async fn an_untouched_spool_is_whole() {
    let (sim, _) = left_behind().await;
    let verdict = verify(&sim);
    assert!(verdict.is_whole() && verdict.findings.is_empty());
    assert_eq!(
        (verdict.records, verdict.segments, verdict.bytes),
        (RECORDS as u64, 3, sim.bytes())
    );
    assert_eq!(hurt(&verdict), [0, 0]);
}

#[tokio::test]
async fn a_flipped_bit_is_found_where_it_is_and_costs_what_a_start_loses() {
    let (left, names) = left_behind().await;
    let segments = left.segments();
    for segment in [&segments[0], segments.last().unwrap()] {
        let bytes = (0..180).chain((180..1_100).step_by(97)).chain(1_100..1_190);
        for at in bytes {
            let sim = left.after_kill();
            sim.tamper(segment, |bytes| bytes[at] ^= 1 << (at % 8));
            let case = format!("bit flipped at {at} of {segment}");
            let verdict = verify(&sim);
            let [found] = &verdict.findings[..] else {
                panic!("{case}: {verdict:?}");
            };
            let place = found.offset..found.offset + found.len;
            assert!(place.contains(&(at as u64)), "{case}: {found:?}");
            assert_eq!(found.file, **segment, "{case}");
            assert!(found.what.is_damage(), "{case}: {found:?}");
            let lost = lost(&sim, &names, &case).await;
            assert_eq!(hurt(&verdict), lost, "{case}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn each_damage_is_told_with_what_it_costs() {
    let told: [(&str, What); TABLE.len()] = [
        ("torn end", What::CutShort),
        ("torn end inside of a head", What::RecordHead),
        ("zeroed page", What::Body),
        ("zeros at the end", What::RecordHead),
        ("noise at the end of all", What::RecordHead),
        ("first page zeroed", What::SegmentHead),
        ("half of a segment", What::CutShort),
        ("empty segment", What::SegmentHead),
        ("missing segment", What::Missing(15)),
    ];
    let (left, _) = left_behind().await;
    for ((case, damage, expected), (told_case, what)) in TABLE.into_iter().zip(told) {
        assert_eq!(case, told_case);
        let sim = left.after_kill();
        damage(&sim, &sim.segments());
        let verdict = verify(&sim);
        assert!(!verdict.is_whole(), "{case}");
        assert_eq!(hurt(&verdict), [expected; 2], "{case}: {verdict:?}");
        assert_eq!(verdict.findings[0].what, what, "{case}: {verdict:?}");
    }
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_a_torn_tail() {
    let sim = Sim::new();
    let bench = open(&sim, settings(Path::new("")), &NAMES);
    bench.fill(RECORDS).await;
    let left = sim.after_kill();
    bench.close();
    assert!(verify(&left).is_whole());
    let survey = look(&left).survey().unwrap();
    assert!(!survey.clean);
    for (target, name) in survey.targets.iter().zip(NAMES) {
        // No cursor was saved yet.
        assert_eq!(
            (&*target.name, target.standing),
            (name, Standing::Configured)
        );
    }
    let last = left.segments().pop().unwrap();
    for (cut, of) in [(10, "body"), (1_030, "head")] {
        let sim = left.after_kill();
        sim.tamper(&last, |bytes| bytes.truncate(bytes.len() - cut));
        let verdict = verify(&sim);
        let [found] = &verdict.findings[..] else {
            panic!("{of}: {verdict:?}");
        };
        assert_eq!(found.what, What::TornTail, "{of}");
        assert_eq!(hurt(&verdict), [1, 1], "{of}");
        let bench = open(&sim, settings(Path::new("")), &NAMES);
        assert_eq!(bench.lost(0, Reason::Corrupt), 1, "{of}: as a start counts");
    }
}

#[tokio::test]
async fn cursors_later_versions_and_foreign_files_are_told() {
    let (left, _) = left_behind().await;
    let slot = CURSORS
        .into_iter()
        .find(|slot| left.names().contains(&(**slot).to_owned()))
        .unwrap();
    let sim = left.after_kill();
    sim.tamper(slot, |bytes| bytes[40] ^= 4);
    let verdict = verify(&sim);
    assert_eq!(verdict.findings[0].what, What::Cursors);
    assert_eq!((verdict.is_whole(), hurt(&verdict)), (false, [0, 0]));

    let sim = left.after_kill();
    sim.tamper("notes.txt", |bytes| bytes.extend(b"mine"));
    let verdict = verify(&sim);
    let note = Finding {
        file: "notes.txt".to_owned(),
        offset: 0,
        len: 4,
        what: What::ForeignFile,
    };
    assert_eq!((verdict.is_whole(), verdict.findings), (true, vec![note]));
    assert_eq!(look(&sim).survey().unwrap().foreign, ["notes.txt"]);

    for file in [left.segments()[1].clone(), slot.to_owned()] {
        let sim = left.after_kill();
        sim.tamper(&file, |bytes| {
            *bytes = of_a_newer_version(std::mem::take(bytes))
        });
        let look = look(&sim);
        let refused = look.survey().unwrap_err();
        assert!(matches!(refused, InspectError::Newer { version: 2, .. }));
        let every = look.each(Select::Pending, |_| Ok::<_, InspectError>(()));
        assert!(matches!(every, Err(InspectError::Newer { .. })));
    }
    let empty = look(&Sim::new()).survey().unwrap_err();
    assert!(matches!(empty, InspectError::NoSpool { .. }), "{empty}");
}

#[tokio::test]
async fn what_waits_is_told_for_each_target_and_can_be_read() {
    let sim = Sim::new();
    let bench = open(&sim, settings(Path::new("")), &["a", "gone"]);
    let names = bench.fill(3).await;
    bench.close();
    let bench = open(&sim, settings(Path::new("")), &["a", "b"]);
    bench.lease(0).await.ack();
    let more = bench.fill(2).await;
    let leased = bench.lease(1).await;
    let live = bench.monitor.survey();
    bench.close();
    drop(leased);
    let sim = sim.after_kill();
    let survey = look(&sim).survey().unwrap();
    assert_eq!((survey.segments, survey.bytes), (2, sim.bytes()));
    assert!(survey.clean && !survey.in_use && survey.damages == 0);
    let told = |of: &str| {
        let target = survey.targets.iter().find(|it| it.name == of).unwrap();
        assert_eq!(target.oldest, Some(head("").received));
        assert_eq!(target.pending.bytes, 1_000 * target.pending.profiles);
        (target.standing, target.pending.profiles, target.in_flight)
    };
    assert_eq!(told("a"), (Standing::Configured, 4, 0));
    assert_eq!(told("b"), (Standing::Configured, 2, 1));
    assert_eq!(told("gone"), (Standing::Removed, 3, 0));
    assert_eq!(survey.targets.len(), 3);
    assert!(live.in_use);
    assert_eq!(live.targets, survey.targets, "told alike while it works");

    let mut records = Vec::new();
    let budget = Budget::new(2_000);
    let read = look(&sim).each(Select::Pending, |stored| {
        let record = stored.read(&budget).unwrap().expect("it is whole");
        let name = record.head().query.to_string();
        assert_eq!(*record.head(), head(&name));
        assert_eq!(record.body().frames().concat(), body(&name));
        records.push((name, stored.targets));
        Ok::<_, InspectError>(())
    });
    read.unwrap();
    let expected: Vec<_> = [
        (&names[0], vec!["gone"]),
        (&names[1], vec!["a", "gone"]),
        (&names[2], vec!["a", "gone"]),
        (&more[0], vec!["a", "b"]),
        (&more[1], vec!["a", "b"]),
    ]
    .map(|(name, targets)| {
        (
            name.clone(),
            targets.into_iter().map(str::to_owned).collect(),
        )
    })
    .into();
    assert_eq!(records, expected);
}

#[tokio::test]
async fn what_was_set_aside_can_be_read_but_for_what_is_damaged() {
    let (left, names) = left_behind().await;
    let sim = left.after_kill();
    let damaged = sim.segments()[1].clone();
    sim.tamper(&damaged, |bytes| bytes[4_096..8_192].fill(0));
    lost(&sim, &names, "a zeroed page").await;
    let survey = look(&sim).survey().unwrap();
    assert_eq!((survey.quarantined, survey.segments), (1, 0));
    assert!(
        survey
            .targets
            .iter()
            .all(|it| it.pending == Tally::default())
    );
    let budget = Budget::new(2_000);
    let mut whole = 0;
    let read = look(&sim).each(Select::Quarantined, |stored| {
        assert_eq!(stored.file, damaged.replace(".log", ".corrupt"));
        assert_eq!(stored.targets, NAMES);
        whole += usize::from(stored.read(&budget).unwrap().is_some());
        Ok::<_, InspectError>(())
    });
    read.unwrap();
    assert_eq!(whole, 10, "of fifteen");
}
