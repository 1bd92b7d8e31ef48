//! The series of panics, read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Counter, counter, describe_counter};
use pyrotee_queue::{Part, Supervisor};

const PANICS: &str = "pyroscope_relay_thread_panics_total";

/// Registers the help text of the series.
pub(super) fn describe() {
    describe_counter!(PANICS, "Panics that were caught, by thread. Each is a bug.");
}

/// The series of panics.
#[derive(Debug)]
pub(super) struct PanicSeries {
    supervisor: Supervisor,
    counters: [(Part, Counter); Part::ALL.len()],
}

impl PanicSeries {
    pub(super) fn new(supervisor: Supervisor) -> Self {
        Self {
            supervisor,
            counters: Part::ALL.map(|part| (part, counter!(PANICS, "thread" => part.as_str()))),
        }
    }

    pub(super) fn update(&self) {
        for (part, counter) in &self.counters {
            counter.absolute(self.supervisor.panics(*part));
        }
    }
}
