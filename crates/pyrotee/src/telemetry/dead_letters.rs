//! The series of the dead letters, read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::float;
use crate::dead_letters::{Monitor, Stats};

/// What a series shows of the dead letters.
type Read = fn(&Stats) -> u64;

const LOST: &str = "pyroscope_remote_write_dead_letters_lost_total";

const GAUGES: [(&str, &str, Read); 3] = [
    (
        "pyroscope_remote_write_dead_letters",
        "Profiles that were refused and are kept.",
        |stats| stats.size.letters,
    ),
    (
        "pyroscope_remote_write_dead_letters_bytes",
        "What they take of the disk, in whole blocks.",
        |stats| stats.size.bytes,
    ),
    (
        "pyroscope_remote_write_dead_letters_limit_bytes",
        "What they may take.",
        |stats| stats.size.max_bytes,
    ),
];

const COUNTERS: [(&str, &str, Read); 3] = [
    (
        "pyroscope_remote_write_dead_letters_kept_total",
        "Profiles that were refused and written down.",
        |stats| stats.kept,
    ),
    (
        "pyroscope_remote_write_dead_letters_evicted_total",
        "Dead letters that made room for others.",
        |stats| stats.evicted,
    ),
    (
        "pyroscope_remote_write_dead_letters_replayed_total",
        "Dead letters that went back into a queue.",
        |stats| stats.replayed,
    ),
];

const LOSSES: [(&str, Read); 3] = [
    ("full", |stats| stats.lost_full),
    ("disk_error", |stats| stats.lost_disk_error),
    ("too_large", |stats| stats.lost_too_large),
];

/// Tells the exporter what the series mean.
pub(super) fn describe() {
    for (name, text, _) in GAUGES {
        match name.ends_with("_bytes") {
            true => describe_gauge!(name, Unit::Bytes, text),
            false => describe_gauge!(name, text),
        }
    }
    for (name, text, _) in COUNTERS {
        describe_counter!(name, text);
    }
    describe_counter!(LOST, "Profiles that were refused and could not be kept.");
}

/// The series of the dead letters.
#[derive(Debug)]
pub(super) struct DeadLetterSeries {
    monitor: Monitor,
    gauges: [(Read, Gauge); GAUGES.len()],
    counters: [(Read, Counter); COUNTERS.len()],
    losses: [(Read, Counter); LOSSES.len()],
}

impl DeadLetterSeries {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            gauges: GAUGES.map(|(name, _, read)| (read, gauge!(name))),
            counters: COUNTERS.map(|(name, _, read)| (read, counter!(name))),
            losses: LOSSES.map(|(reason, read)| (read, counter!(LOST, "reason" => reason))),
        }
    }

    pub(super) fn update(&self) {
        let stats = self.monitor.stats();
        for (read, gauge) in &self.gauges {
            gauge.set(float(read(&stats)));
        }
        for (read, counter) in self.counters.iter().chain(&self.losses) {
            counter.absolute(read(&stats));
        }
    }
}
