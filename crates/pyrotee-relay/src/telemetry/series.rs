//! Series that each show one number of a snapshot, which is read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Reads the value of a series from a snapshot `S`.
pub(super) type Read<S> = fn(&S) -> u64;

/// A series: its name, its help text, and the function that reads its value.
pub(super) type Row<S> = (&'static str, &'static str, Read<S>);

/// Registers the help texts of the series.
pub(super) fn describe<S>(gauges: &[Row<S>], counters: &[Row<S>]) {
    for (name, text, _) in gauges {
        match name.ends_with("_bytes") {
            true => describe_gauge!(*name, Unit::Bytes, *text),
            false => describe_gauge!(*name, *text),
        }
    }
    for (name, text, _) in counters {
        describe_counter!(*name, *text);
    }
}

/// The series that show numbers of a snapshot `S`.
#[derive(Debug)]
pub(super) struct Series<S> {
    gauges: Vec<(Read<S>, Gauge)>,
    counters: Vec<(Read<S>, Counter)>,
}

impl<S> Series<S> {
    pub(super) fn new(gauges: &[Row<S>], counters: &[Row<S>]) -> Self {
        Self::labelled(gauges, counters, &[])
    }

    /// Series of one target.
    pub(super) fn of_target(gauges: &[Row<S>], counters: &[Row<S>], target: &str) -> Self {
        Self::labelled(gauges, counters, &[("target", target.to_owned())])
    }

    fn labelled(gauges: &[Row<S>], counters: &[Row<S>], labels: &[(&'static str, String)]) -> Self {
        let (gauges, counters) = (gauges.iter(), counters.iter());
        let gauges = gauges.map(|(name, _, read)| (*read, gauge!(*name, labels)));
        let counters = counters.map(|(name, _, read)| (*read, counter!(*name, labels)));
        Self {
            gauges: gauges.collect(),
            counters: counters.collect(),
        }
    }

    /// Sets the gauges to zero.
    pub(super) fn clear(&self) {
        for (_, gauge) in &self.gauges {
            gauge.set(0);
        }
    }

    pub(super) fn update(&self, of: &S) {
        for (read, gauge) in &self.gauges {
            gauge.set(float(read(of)));
        }
        for (read, counter) in &self.counters {
            counter.absolute(read(of));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are f64; 2^53 bytes are never reached"
)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
