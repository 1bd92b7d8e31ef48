//! The series of the spool, read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Gauge, describe_gauge, gauge};
use pyrotee_spool::{Mode, Monitor, Stats};

use super::series::{self, Row, Series};

const MODE: &str = "pyroscope_remote_write_spool_mode";

const GAUGES: [Row<Stats>; 9] = [
    (
        "pyroscope_remote_write_spool_bytes",
        "Bytes of all segments.",
        |stats| stats.bytes,
    ),
    (
        "pyroscope_remote_write_spool_limit_bytes",
        "Maximum bytes of all segments.",
        |stats| stats.max_bytes,
    ),
    (
        "pyroscope_remote_write_spool_segments",
        "Number of segments.",
        |stats| stats.segments,
    ),
    (
        "pyroscope_remote_write_spool_free_bytes",
        "Bytes that the file system had left when a segment was last begun.",
        |stats| stats.free_bytes,
    ),
    (
        "pyroscope_remote_write_spool_unwritten_profiles",
        "Profiles that wait to be written.",
        |stats| stats.unwritten,
    ),
    (
        "pyroscope_remote_write_spool_unreadable_segments",
        "Segments that the disk fails to return; their profiles stay pending.",
        |stats| stats.unreadable_segments,
    ),
    (
        "pyroscope_remote_write_spool_quarantined_segments",
        "Damaged segments that were set aside and are still on disk.",
        |stats| stats.quarantined,
    ),
    (
        "pyroscope_remote_write_spool_careful",
        "1 while one profile is delivered at a time, because the relay ended soon after its start again and again.",
        |stats| u64::from(stats.careful),
    ),
    (
        "pyroscope_remote_write_spool_orphaned_targets",
        "Targets that left the configuration and have profiles in the spool.",
        |stats| stats.removed_targets,
    ),
];

const COUNTERS: [Row<Stats>; 7] = [
    (
        "pyroscope_remote_write_spool_written_bytes_total",
        "Bytes written, everything included.",
        |stats| stats.written_bytes,
    ),
    (
        "pyroscope_remote_write_spool_read_bytes_total",
        "Bytes read back for deliveries.",
        |stats| stats.read_bytes,
    ),
    (
        "pyroscope_remote_write_spool_errors_total",
        "Times that the disk failed, reads included.",
        |stats| stats.troubles,
    ),
    (
        "pyroscope_remote_write_spool_corrupt_profiles_total",
        "Profiles lost to damage, once for each target.",
        |stats| stats.corrupt_records,
    ),
    (
        "pyroscope_remote_write_spool_evicted_segments_total",
        "Segments that were deleted because the spool was full.",
        |stats| stats.evicted_segments,
    ),
    (
        "pyroscope_remote_write_spool_recovered_profiles_total",
        "Profiles found pending at the start, once for each target.",
        |stats| stats.recovered,
    ),
    (
        "pyroscope_remote_write_spool_redelivered_profiles_total",
        "Recovered profiles that were being delivered when the previous process ended: they may arrive twice.",
        |stats| stats.redelivered,
    ),
];

const MODES: [(&str, Mode); 4] = [
    ("waiting", Mode::Waiting),
    ("disk", Mode::Disk),
    ("memory_only", Mode::MemoryOnly),
    ("read_errors", Mode::ReadErrors),
];

/// Registers the help texts of the series.
pub(super) fn describe() {
    describe_gauge!(
        MODE,
        "1 for the mode that the spool is in, 0 for the others."
    );
    series::describe(&GAUGES, &COUNTERS);
}

/// The series of a spool.
#[derive(Debug)]
pub(super) struct SpoolSeries {
    monitor: Monitor,
    modes: [(Mode, Gauge); 4],
    series: Series<Stats>,
}

impl SpoolSeries {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            modes: MODES.map(|(word, mode)| (mode, gauge!(MODE, "mode" => word))),
            series: Series::new(&GAUGES, &COUNTERS),
        }
    }

    pub(super) fn update(&self) {
        let stats = self.monitor.stats();
        for (mode, gauge) in &self.modes {
            gauge.set(f64::from(u8::from(*mode == stats.mode)));
        }
        self.series.update(&stats);
    }
}
