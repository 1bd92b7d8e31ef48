//! The series of the dead letters, read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Counter, counter, describe_counter};
use pyrotee_letters::{Monitor, Stats};

use super::series::{self, Read, Row, Series};

const LOST: &str = "pyroscope_remote_write_dead_letters_lost_total";

const GAUGES: [Row<Stats>; 4] = [
    (
        "pyroscope_remote_write_dead_letters_open",
        "1 while the directory of the dead letters is open, 0 while it cannot be opened.",
        |stats| u64::from(stats.is_open),
    ),
    (
        "pyroscope_remote_write_dead_letters",
        "Dead letters on disk: profiles that a target rejected or that could not be decoded.",
        |stats| stats.size.letters,
    ),
    (
        "pyroscope_remote_write_dead_letters_bytes",
        "Disk space of the dead letters, in whole blocks.",
        |stats| stats.size.bytes,
    ),
    (
        "pyroscope_remote_write_dead_letters_limit_bytes",
        "Maximum disk space of the dead letters.",
        |stats| stats.size.max_bytes,
    ),
];

const COUNTERS: [Row<Stats>; 3] = [
    (
        "pyroscope_remote_write_dead_letters_kept_total",
        "Dead letters written to disk.",
        |stats| stats.kept,
    ),
    (
        "pyroscope_remote_write_dead_letters_evicted_total",
        "Dead letters deleted to make room for others.",
        |stats| stats.evicted,
    ),
    (
        "pyroscope_remote_write_dead_letters_replayed_total",
        "Dead letters put into a queue again.",
        |stats| stats.replayed,
    ),
];

const LOSSES: [(&str, Read<Stats>); 4] = [
    ("full", |stats| stats.lost_full),
    ("disk_error", |stats| stats.lost_disk_error),
    ("too_large", |stats| stats.lost_too_large),
    ("panic", |stats| stats.lost_panic),
];

/// Registers the help texts of the series.
pub(super) fn describe() {
    series::describe(&GAUGES, &COUNTERS);
    describe_counter!(LOST, "Dead letters that could not be written, by reason.");
}

/// The series of the dead letters.
#[derive(Debug)]
pub(super) struct DeadLetterSeries {
    monitor: Monitor,
    series: Series<Stats>,
    losses: [(Read<Stats>, Counter); LOSSES.len()],
}

impl DeadLetterSeries {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            series: Series::new(&GAUGES, &COUNTERS),
            losses: LOSSES.map(|(reason, read)| (read, counter!(LOST, "reason" => reason))),
        }
    }

    pub(super) fn update(&self) {
        let stats = self.monitor.stats();
        self.series.update(&stats);
        for (read, counter) in &self.losses {
            counter.absolute(read(&stats));
        }
    }
}
