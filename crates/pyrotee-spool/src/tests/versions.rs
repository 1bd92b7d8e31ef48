//! Segments of earlier versions of the format.

use std::path::Path;

use pyrotee_segments::inspect::FORMAT_VERSION;
use pyrotee_segments::{CURSOR_SLOTS, SegmentHead};

use super::sim::Sim;
use super::support::{open, settings};

const SEGMENT: &str = "00000000000000000000.log";

/// Files that the last pyrotee with version 1 has written, with three records. `a` has settled the first.
const VERSION_1: [(&str, &[u8]); 3] = [
    (
        SEGMENT,
        include_bytes!("version_1/00000000000000000000.log"),
    ),
    (CURSOR_SLOTS[0], include_bytes!("version_1/cursors.0")),
    (CURSOR_SLOTS[1], include_bytes!("version_1/cursors.1")),
];

fn bytes_of(sim: &Sim, file: &str) -> Vec<u8> {
    let mut read = Vec::new();
    sim.tamper(file, |bytes| read.clone_from(bytes));
    read
}

/// The version in the envelope at the start of a file.
fn version_of(sim: &Sim, file: &str) -> u32 {
    let bytes = bytes_of(sim, file);
    u32::from_le_bytes(bytes[8..12].try_into().unwrap())
}

#[tokio::test]
async fn records_of_version_1_are_delivered_and_never_rewritten() {
    let sim = Sim::new();
    for (file, written) in VERSION_1 {
        sim.tamper(file, |bytes| bytes.extend_from_slice(written));
    }
    let old = ["old-0-10", "old-1-200", "old-2-40"];
    let spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    assert_eq!(spool.pending().await, [old[1..].to_vec(), old.to_vec()]);
    assert!(spool.keep("3-h2-30").await);
    assert_eq!(bytes_of(&sim, SEGMENT), VERSION_1[0].1);
    let segments = sim.segments();
    assert_eq!(segments.len(), 2);
    assert_eq!(version_of(&sim, &segments[1]), FORMAT_VERSION);
    spool.close();

    let spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    let (delivered, counts) = spool.drain().await;
    assert_eq!(delivered[0], [&old[1..], &["3-h2-30"]].concat());
    assert_eq!(delivered[1], [&old[..], &["3-h2-30"]].concat());
    assert!(counts.iter().all(|counts| counts.balance()));
    // A drained spool has nothing that an earlier pyrotee cannot read.
    assert_eq!(sim.segments(), [""; 0]);
    for slot in CURSOR_SLOTS {
        assert_eq!(version_of(&sim, slot), 1, "{slot}");
    }
}

#[test]
fn the_head_of_a_segment_of_version_1_is_read_like_a_later_one() {
    let (head, _) = SegmentHead::decode(VERSION_1[0].1).unwrap();
    let names: Vec<_> = head.names.values().collect();
    assert_eq!(names, ["a", "b"]);
    let (again, _) = SegmentHead::decode(&head.encode()).unwrap();
    assert_eq!(again, head);
}
