//! Processes that cannot keep all segments open.

use std::path::Path;
use std::time::Duration;

use pyrotee_queue::{LeaseFilter, Reason};

use super::opening::{LEFT, NAMES, left_behind, pending, sorted};
use super::support::{eventually, name, open, settings};
use crate::{Mode, Settings};

#[tokio::test]
async fn segments_that_cannot_all_be_open_are_read_one_at_a_time() {
    let (sim, names) = left_behind().await;
    assert!(sim.segments().len() > 2);
    sim.limit_open_files(4);
    let few = Settings {
        open_files: 1,
        segment_bytes: 4 << 10,
        ..settings(Path::new("/spool"))
    };
    let spool = open(&sim, few, &NAMES);
    assert_eq!(spool.monitor.mode(), Mode::Disk);
    let more = spool.fill(LEFT).await;
    let found = spool.pending().await;
    assert_eq!(found[1].len(), 2 * LEFT);
    // One segment is kept open, one is being written, and one is open for a read.
    assert!(sim.highest_open() <= 3, "{}", sim.highest_open());
    let (delivered, counts) = spool.drain().await;
    assert_eq!(sorted(delivered[1].clone()), sorted([names, more].concat()));
    assert!(counts.iter().all(|counts| counts.accepted == counts.sent));
    assert_eq!(sim.segments(), [""; 0]);
}

#[tokio::test]
async fn segments_without_a_free_descriptor_are_read_later() {
    let (sim, names) = left_behind().await;
    sim.limit_open_files(2);
    let spool = open(&sim, settings(Path::new("/spool")), &NAMES);
    assert_eq!(spool.monitor.mode(), Mode::ReadErrors);
    sim.limit_open_files(100);
    eventually("all is read", || {
        pending(&spool) == [LEFT as u64 - 1, LEFT as u64]
    })
    .await;
    let (delivered, _) = spool.drain().await;
    assert_eq!(sorted(delivered[1].clone()), sorted(names));
}

#[tokio::test]
async fn a_missing_file_that_is_not_kept_open_is_loss() {
    let (sim, names) = left_behind().await;
    let few = Settings {
        open_files: 0,
        ..settings(Path::new("/spool"))
    };
    let spool = open(&sim, few, &NAMES);
    sim.take_away(&sim.segments()[0]);
    let mut got = Vec::new();
    while spool.counts(1).pending.profiles > 0 {
        let lease = spool.consumers[1].lease(&LeaseFilter::ANY);
        let lease = tokio::time::timeout(Duration::from_millis(100), lease).await;
        let Ok(Some(lease)) = lease else { continue };
        got.push(name(&lease));
        lease.ack();
    }
    let lost = spool.lost(1, Reason::Corrupt);
    assert!(lost > 0);
    assert_eq!(got.len() as u64 + lost, names.len() as u64);
}
