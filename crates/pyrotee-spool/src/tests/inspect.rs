//! Inspection of a directory: it reports what a start finds, and changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyrotee_queue::{Budget, Reason, Tally};
use pyrotee_segments::inspect::{
    Directory, FORMAT_VERSION, Finding, FindingKind, InspectError, Membership, Selection,
    VerifyReport,
};
use pyrotee_segments::testing::of_version;
use pyrotee_segments::{CURSOR_SLOTS, Storage, read_all};

use super::damage::{NAMES, RECORDS, TABLE, flipped_bits, left_behind, lost};
use super::sim::Sim;
use super::support::{body, head, open, settings};

fn look(sim: &Arc<Sim>) -> Directory {
    Directory::of(Arc::clone(sim) as Arc<dyn Storage>)
}

/// The content of every file, by name.
fn content(sim: &Sim) -> BTreeMap<String, Vec<u8>> {
    let files = sim.list().unwrap().into_iter();
    let read = files.map(|(name, len)| {
        let bytes = read_all(&*sim.open(&name).unwrap()).unwrap();
        assert_eq!(bytes.len() as u64, len);
        (name, bytes)
    });
    read.collect()
}

/// Verifies a directory, and checks that no byte of it changes.
pub(super) fn verify(sim: &Arc<Sim>) -> VerifyReport {
    let (before, changes) = (content(sim), sim.changes());
    let read = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&read);
    let on_read = move |bytes| {
        counted.fetch_add(bytes, Relaxed);
    };
    let report = look(sim).verify(on_read).unwrap();
    assert_eq!(content(sim), before);
    assert_eq!(sim.changes(), changes);
    assert_eq!(read.load(Relaxed), report.bytes, "every byte, once");
    report
}

pub(super) fn undeliverable(report: &VerifyReport) -> [usize; 2] {
    NAMES.map(|name| usize::try_from(*report.undeliverable.get(name).unwrap_or(&0)).unwrap())
}

#[tokio::test]
async fn an_untouched_spool_is_whole() {
    let (sim, _) = left_behind().await;
    let report = verify(&sim);
    assert!(report.is_whole() && report.findings.is_empty());
    assert_eq!(
        (report.records, report.segments, report.bytes),
        (RECORDS as u64, 3, sim.bytes())
    );
    assert_eq!(undeliverable(&report), [0, 0]);
}

#[tokio::test]
async fn a_flipped_bit_is_found_where_it_is_and_costs_what_a_start_loses() {
    let (left, names) = left_behind().await;
    for (sim, segment, at, case) in flipped_bits(&left) {
        let report = verify(&sim);
        let [found] = &report.findings[..] else {
            panic!("{case}: {report:?}");
        };
        let place = found.offset..found.offset + found.len;
        assert!(place.contains(&(at as u64)), "{case}: {found:?}");
        assert_eq!(found.file, segment, "{case}");
        assert!(found.kind.is_damage(), "{case}: {found:?}");
        let lost = lost(&sim, &names, &case).await;
        assert_eq!(undeliverable(&report), lost, "{case}: {report:?}");
    }
}

#[tokio::test]
async fn each_damage_is_told_with_what_it_costs() {
    let told: [(&str, FindingKind); TABLE.len()] = [
        ("torn end", FindingKind::CutShort),
        ("torn end inside of a head", FindingKind::RecordHead),
        ("zeroed page", FindingKind::Body),
        ("zeros at the end", FindingKind::RecordHead),
        ("noise at the end of all", FindingKind::RecordHead),
        ("first page zeroed", FindingKind::SegmentHead),
        ("half of a segment", FindingKind::CutShort),
        ("empty segment", FindingKind::SegmentHead),
        ("missing segment", FindingKind::Missing(15)),
    ];
    let (left, _) = left_behind().await;
    for ((case, damage, expected), (told_case, kind)) in TABLE.into_iter().zip(told) {
        assert_eq!(case, told_case);
        let sim = left.after_kill();
        damage(&sim, &sim.segments());
        let report = verify(&sim);
        assert!(!report.is_whole(), "{case}");
        assert_eq!(undeliverable(&report), [expected; 2], "{case}: {report:?}");
        assert_eq!(report.findings[0].kind, kind, "{case}: {report:?}");
    }
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_a_torn_tail() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    spool.fill(RECORDS).await;
    let left = sim.after_kill();
    spool.close();
    assert!(verify(&left).is_whole());
    let survey = look(&left).survey().unwrap();
    assert!(!survey.clean);
    for (target, name) in survey.targets.iter().zip(NAMES) {
        // No cursor was saved yet.
        assert_eq!(
            (&*target.name, target.membership),
            (name, Membership::Configured)
        );
    }
    let last = left.segments().pop().unwrap();
    for (cut, of, lost) in [(10, "body", 1), (1_030, "head", 0)] {
        let sim = left.after_kill();
        sim.tamper(&last, |bytes| bytes.truncate(bytes.len() - cut));
        let report = verify(&sim);
        let [found] = &report.findings[..] else {
            panic!("{of}: {report:?}");
        };
        assert_eq!(found.kind, FindingKind::TornTail, "{of}");
        // No cursor covers a record whose head is incomplete: its receipt never resolved.
        assert_eq!(undeliverable(&report), [lost; 2], "{of}");
        let spool = open(&sim, settings(Path::new("")), &NAMES);
        let lost = u64::try_from(lost).unwrap();
        assert_eq!(spool.lost(0, Reason::Corrupt), lost, "{of}: as a start");
    }
}

#[tokio::test]
async fn cursors_later_versions_and_foreign_files_are_told() {
    let (left, _) = left_behind().await;
    let slot = CURSOR_SLOTS
        .into_iter()
        .find(|slot| left.names().contains(&(**slot).to_owned()))
        .unwrap();
    let sim = left.after_kill();
    sim.tamper(slot, |bytes| bytes[40] ^= 4);
    let report = verify(&sim);
    assert_eq!(report.findings[0].kind, FindingKind::Cursors);
    assert_eq!((report.is_whole(), undeliverable(&report)), (false, [0, 0]));

    let sim = left.after_kill();
    sim.tamper("notes.txt", |bytes| bytes.extend(b"mine"));
    let report = verify(&sim);
    let note = Finding {
        file: "notes.txt".to_owned(),
        offset: 0,
        len: 4,
        kind: FindingKind::ForeignFile,
    };
    assert_eq!((report.is_whole(), report.findings), (true, vec![note]));
    assert_eq!(look(&sim).survey().unwrap().foreign, ["notes.txt"]);

    for file in [left.segments()[1].clone(), slot.to_owned()] {
        let sim = left.after_kill();
        sim.tamper(&file, |bytes| {
            *bytes = of_version(std::mem::take(bytes), FORMAT_VERSION + 1)
        });
        let look = look(&sim);
        let refused = look.survey().unwrap_err();
        assert!(matches!(refused, InspectError::Newer { version: 3, .. }));
        let every = look.each(Selection::Pending, |_| Ok::<_, InspectError>(()));
        assert!(matches!(every, Err(InspectError::Newer { .. })));
    }
    let empty = look(&Sim::new()).survey().unwrap_err();
    assert!(matches!(empty, InspectError::NoSpool { .. }), "{empty}");
}

#[tokio::test]
async fn what_waits_is_told_for_each_target_and_can_be_read() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a", "gone"]);
    let names = spool.fill(3).await;
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    spool.lease(0).await.ack();
    let more = spool.fill(2).await;
    let leased = spool.lease(1).await;
    let live = spool.monitor.survey();
    spool.close();
    drop(leased);
    let sim = sim.after_kill();
    let survey = look(&sim).survey().unwrap();
    assert_eq!((survey.segments, survey.bytes), (2, sim.bytes()));
    assert!(survey.clean && !survey.in_use && survey.damages == 0);
    let told = |of: &str| {
        let target = survey.targets.iter().find(|it| it.name == of).unwrap();
        assert_eq!(target.oldest, Some(head("").received));
        assert_eq!(target.pending.bytes, 1_000 * target.pending.profiles);
        (target.membership, target.pending.profiles, target.in_flight)
    };
    assert_eq!(told("a"), (Membership::Configured, 4, 0));
    assert_eq!(told("b"), (Membership::Configured, 2, 1));
    assert_eq!(told("gone"), (Membership::Removed, 3, 0));
    assert_eq!(survey.targets.len(), 3);
    assert!(live.in_use);
    assert_eq!(live.targets, survey.targets, "told alike while it works");

    let mut records = Vec::new();
    let budget = Budget::new(2_000);
    let read = look(&sim).each(Selection::Pending, |stored| {
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
    let read = look(&sim).each(Selection::Quarantined, |stored| {
        assert_eq!(stored.file, damaged.replace(".log", ".corrupt"));
        assert_eq!(stored.targets, NAMES);
        whole += usize::from(stored.read(&budget).unwrap().is_some());
        Ok::<_, InspectError>(())
    });
    read.unwrap();
    assert_eq!(whole, 10, "of fifteen");
}
