//! The counters and gauges of a test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Counters and gauges by name and labels.
#[derive(Debug, Default)]
pub(in crate::tests) struct Series(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Series {
    /// All values of a counter above 0, by the values of its labels.
    pub(in crate::tests) fn counts(&self, name: &str) -> Vec<(String, u64)> {
        let series = self.0.lock().unwrap();
        let of_name = series.iter().filter_map(|(key, value)| {
            let labels = key.strip_prefix(name)?.strip_prefix(' ')?;
            Some((labels.to_owned(), value.load(SeqCst)))
        });
        of_name.filter(|(_, value)| *value > 0).collect()
    }

    pub(in crate::tests) fn gauge(&self, key: &str) -> f64 {
        f64::from_bits(self.0.lock().unwrap()[key].load(SeqCst))
    }

    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|it| format!(" {}", it.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }
}

impl Recorder for Series {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
