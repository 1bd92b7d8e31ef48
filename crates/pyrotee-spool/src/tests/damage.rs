//! Starts with files that were damaged, removed or added since the last process ended.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use pyrotee_queue::Reason;
use pyrotee_segments::CURSOR_SLOTS;
use pyrotee_segments::inspect::FORMAT_VERSION;
use pyrotee_segments::testing::of_version;

use super::accounts::{cursors, eager};
use super::inspect::{undeliverable, verify};
use super::sim::Sim;
use super::support::{ROOMY, eventually, open, settings, try_open};

pub(super) const RECORDS: usize = 40;
pub(super) const NAMES: [&str; 2] = ["a", "b"];

type Damage = fn(&Sim, &[String]);

/// Kinds of damage to the segments, and how many records each target loses by them.
pub(super) const TABLE: [(&str, Damage, usize); 9] = [
    (
        "torn end",
        |sim, segments| {
            sim.tamper(segments.last().unwrap(), |bytes| {
                bytes.truncate(bytes.len() - 10)
            })
        },
        1,
    ),
    (
        "torn end inside of a head",
        |sim, segments| {
            sim.tamper(segments.last().unwrap(), |bytes| {
                bytes.truncate(bytes.len() - 1_000 - 30)
            })
        },
        1,
    ),
    (
        "zeroed page",
        |sim, segments| sim.tamper(&segments[1], |bytes| bytes[4_096..8_192].fill(0)),
        5,
    ),
    (
        "zeros at the end",
        |sim, segments| sim.tamper(&segments[1], |bytes| bytes.extend([0; 4_096])),
        0,
    ),
    (
        "noise at the end of all",
        |sim, segments| sim.tamper(segments.last().unwrap(), |bytes| bytes.extend([7; 99])),
        0,
    ),
    (
        "first page zeroed",
        |sim, segments| sim.tamper(&segments[1], |bytes| bytes[..4_096].fill(0)),
        4,
    ),
    (
        "half of a segment",
        |sim, segments| sim.tamper(&segments[0], |bytes| bytes.truncate(8 * 1_024)),
        8,
    ),
    (
        "empty segment",
        |sim, segments| sim.tamper(&segments[0], Vec::clear),
        15,
    ),
    (
        "missing segment",
        |sim, segments| sim.take_away(&segments[1]),
        15,
    ),
];

/// A spool that was closed with forty records for two targets, in three segments.
pub(super) async fn left_behind() -> (Arc<Sim>, Vec<String>) {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    let names = spool.fill(RECORDS).await;
    spool.close();
    assert_eq!(sim.segments().len(), 3);
    (sim.after_kill(), names)
}

/// Opens the spool and delivers everything. Returns how many records each target has lost. Checks that every record is
/// delivered whole or counted.
pub(super) async fn lost(sim: &Arc<Sim>, names: &[String], case: &str) -> [usize; 2] {
    let spool = open(sim, settings(Path::new("")), &NAMES);
    let (delivered, counts) = spool.drain().await;
    let mut lost = [0; 2];
    for (target, (delivered, counts)) in delivered.iter().zip(&counts).enumerate() {
        assert!(counts.balance(), "{case}: {counts:?}");
        let corrupt = usize::try_from(counts.dropped(Reason::Corrupt).profiles).unwrap();
        assert_eq!(counts.accepted.profiles, RECORDS as u64, "{case}");
        assert_eq!(delivered.len() + corrupt, RECORDS, "{case}");
        let mut rest = names.iter();
        assert!(
            delivered.iter().all(|name| rest.any(|other| other == name)),
            "{case}"
        );
        lost[target] = corrupt;
    }
    assert!(sim.segments().is_empty(), "{case}: {:?}", sim.names());
    lost
}

/// Copies of a spool with one flipped bit each, in the head of a segment, in a record or in the head of the next
/// record: the copy, the segment, the offset of the bit, and a text for assertions.
pub(super) fn flipped_bits(left: &Sim) -> Vec<(Arc<Sim>, String, usize, String)> {
    let segments = left.segments();
    let mut flipped = Vec::new();
    for segment in [&segments[0], segments.last().unwrap()] {
        let bytes = (0..180).chain((180..1_100).step_by(97)).chain(1_100..1_190);
        for at in bytes {
            let sim = left.after_kill();
            sim.tamper(segment, |bytes| bytes[at] ^= 1 << (at % 8));
            let case = format!("bit flipped at {at} of {segment}");
            flipped.push((sim, segment.clone(), at, case));
        }
    }
    flipped
}

#[tokio::test]
async fn nothing_is_lost_of_an_untouched_spool() {
    let (sim, names) = left_behind().await;
    assert_eq!(lost(&sim, &names, "untouched").await, [0, 0]);
    assert!(!sim.names().iter().any(|name| name.ends_with(".corrupt")));
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record_at_most_wherever_it_is() {
    let (left, names) = left_behind().await;
    for (sim, _, _, case) in flipped_bits(&left) {
        let lost = lost(&sim, &names, &case).await;
        assert!(lost[0] <= 1 && lost[0] == lost[1], "{case}: {lost:?}");
    }
}

#[tokio::test]
async fn loss_is_what_was_damaged_and_damage_is_set_aside() {
    let (left, names) = left_behind().await;
    for (case, damage, expected) in TABLE {
        let sim = left.after_kill();
        let segments = sim.segments();
        damage(&sim, &segments);
        assert_eq!(lost(&sim, &names, case).await, [expected; 2], "{case}");
        let aside = sim
            .names()
            .iter()
            .filter(|name| name.ends_with(".corrupt"))
            .count();
        let expected = usize::from(case != "missing segment");
        assert_eq!(aside, expected, "{case}");
    }
}

#[tokio::test]
async fn damage_is_counted_once_even_if_the_relay_starts_again() {
    let (left, names) = left_behind().await;
    let sim = left.after_kill();
    sim.tamper(&sim.segments()[1], |bytes| bytes[4_096..8_192].fill(0));
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    let first = spool.lost(0, Reason::Corrupt);
    assert!(first >= 3, "the heads that were hit");
    assert!(spool.monitor.stats().corrupt_stretches > 0);
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    let (delivered, counts) = spool.drain().await;
    let second = counts[0].dropped(Reason::Corrupt).profiles;
    assert_eq!(
        delivered[0].len() as u64 + first + second,
        names.len() as u64
    );
}

#[tokio::test]
async fn damaged_cursors_cost_nothing_but_repetitions() {
    let (left, names) = left_behind().await;
    let spool = open(&left, settings(Path::new("")), &NAMES);
    for _ in 0..3 {
        spool.lease(0).await.ack();
    }
    spool.close();
    for damaged in [&CURSOR_SLOTS[..1], &CURSOR_SLOTS[1..], &CURSOR_SLOTS[..]] {
        for how in ["flipped", "cut", "gone"] {
            let sim = left.after_kill();
            for slot in damaged
                .iter()
                .filter(|slot| sim.names().contains(&(**slot).to_owned()))
            {
                match how {
                    "flipped" => sim.tamper(slot, |bytes| bytes[40] ^= 4),
                    "cut" => sim.tamper(slot, |bytes| bytes.truncate(20)),
                    _ => sim.take_away(slot),
                }
            }
            let spool = open(&sim, settings(Path::new("")), &NAMES);
            let pending = spool.pending().await;
            assert_eq!(pending[1], names, "{damaged:?} {how}");
            assert!(names.ends_with(&pending[0]) && pending[0].len() >= names.len() - 3);
            assert_eq!(
                spool.lost(0, Reason::Corrupt) + spool.lost(1, Reason::Corrupt),
                0
            );
        }
    }
}

#[tokio::test]
async fn a_segment_without_head_and_cursors_is_set_aside_and_counted() {
    let (left, _names) = left_behind().await;
    for slot in CURSOR_SLOTS {
        if left.names().contains(&slot.to_owned()) {
            left.take_away(slot);
        }
    }
    for segment in &left.segments()[1..] {
        left.take_away(segment);
    }
    left.tamper(&left.segments()[0], |bytes| bytes[30] ^= 1);
    let spool = open(&left, settings(Path::new("")), &NAMES);
    assert_eq!(spool.counts(0).pending.profiles, 0);
    assert_eq!(spool.lost(0, Reason::Corrupt), 1, "one stretch");
    assert!(spool.keep("new-10").await);
    let (delivered, _) = spool.drain().await;
    assert_eq!(delivered[0], ["new-10"]);
    assert_eq!(
        left.names()
            .iter()
            .filter(|name| name.ends_with(".corrupt"))
            .count(),
        1
    );
}

#[tokio::test]
async fn foreign_files_stay_and_a_newer_version_is_refused() {
    let (left, names) = left_behind().await;
    let foreign = [
        "notes.txt",
        "1.log",
        "00000000000000000001.logs",
        "18446744073709551615.log",
        "00000000000000000009.corrupt",
    ];
    let sim = left.after_kill();
    for name in foreign {
        sim.tamper(name, |bytes| bytes.extend(b"mine"));
    }
    assert_eq!(lost(&sim, &names, "foreign files").await, [0, 0]);
    for name in foreign {
        assert!(sim.names().contains(&name.to_owned()), "{name}");
    }
    let slot = left
        .names()
        .into_iter()
        .find(|name| name.starts_with("cursors"))
        .unwrap();
    for file in [left.segments()[1].clone(), slot] {
        let sim = left.after_kill();
        sim.tamper(&file, |bytes| {
            *bytes = of_version(std::mem::take(bytes), FORMAT_VERSION + 1)
        });
        let refused = try_open(&sim, settings(Path::new("/spool")), &NAMES, ROOMY);
        let text = refused.err().unwrap();
        assert!(
            text.contains(&format!("/spool/{file}")) && text.contains("version 3"),
            "{text}"
        );
        assert_eq!(sim.segments(), left.segments(), "nothing was touched");
    }
}

/// Damage to a file of a spool, at random.
#[derive(Debug, Clone)]
enum RandomDamage {
    Flip { at: usize, bit: u8 },
    Fill { at: usize, len: usize, byte: u8 },
    Cut { at: usize },
    Append { len: usize, byte: u8 },
    Delete,
}

impl RandomDamage {
    fn apply(&self, sim: &Sim, file: &str) {
        if let Self::Delete = self {
            sim.take_away(file);
            return;
        }
        sim.tamper(file, |bytes| {
            let len = bytes.len().max(1);
            match *self {
                Self::Flip { at, bit } => bytes[at % len] ^= 1 << bit,
                Self::Fill { at, len: of, byte } => {
                    let at = at % len;
                    let end = (at + of).min(len);
                    bytes[at..end].fill(byte);
                }
                Self::Cut { at } => bytes.truncate(at % len),
                Self::Append { len, byte } => bytes.extend(std::iter::repeat_n(byte, len)),
                Self::Delete => {}
            }
        });
    }
}

fn random_damage() -> impl Strategy<Value = RandomDamage> {
    let at = 0..1_usize << 20;
    prop_oneof![
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| RandomDamage::Flip { at, bit }),
        (at.clone(), 1..6_000_usize, any::<u8>()).prop_map(|(at, len, byte)| RandomDamage::Fill {
            at,
            len,
            byte
        }),
        at.prop_map(|at| RandomDamage::Cut { at }),
        (1..6_000_usize, any::<u8>()).prop_map(|(len, byte)| RandomDamage::Append { len, byte }),
        Just(RandomDamage::Delete),
    ]
}

/// Directories left by a process that closed the spool, and by one that was killed after its cursors were saved.
fn left_in_both_ways() -> &'static [(Arc<Sim>, Vec<String>); 2] {
    static LEFT: OnceLock<[(Arc<Sim>, Vec<String>); 2]> = OnceLock::new();
    LEFT.get_or_init(|| {
        block_on(async {
            let sim = Sim::new();
            let spool = open(&sim, eager(), &NAMES);
            let names = spool.fill(RECORDS).await;
            eventually("the horizon is saved", || {
                cursors(&sim).is_some_and(|it| it.horizon() == RECORDS as u64)
            })
            .await;
            let killed = sim.after_kill();
            spool.close();
            [left_behind().await, (killed, names)]
        })
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(future)
}

proptest! {
    /// `PROPTEST_CASES` sets the number of cases.
    #[test]
    fn whatever_is_damaged_each_record_is_delivered_or_counted(
        damages in prop::collection::vec((0..3_usize, random_damage()), 1..3),
        killed: bool,
    ) {
        let (left, names) = &left_in_both_ways()[usize::from(killed)];
        let sim = left.after_kill();
        let segments = sim.segments();
        for (segment, damage) in &damages {
            if sim.names().contains(&segments[*segment]) {
                damage.apply(&sim, &segments[*segment]);
            }
        }
        let case = format!("{damages:?}, killed: {killed}");
        let told = undeliverable(&verify(&sim));
        let lost = block_on(lost(&sim, names, &case));
        prop_assert_eq!(told, lost, "{}", case);
    }
}
