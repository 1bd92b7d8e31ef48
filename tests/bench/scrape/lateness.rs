//! How long after its time each request of a loop arrived at the application.

use std::{collections::BTreeMap, time::Duration};

use super::{INTERVAL, applications::Scrape, kind::Kind, pyroscope::State};

/// Difference between the clock readings of two processes that still counts as punctual, in seconds.
const EARLY: f64 = 0.05;

/// Percentiles, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) largest: f64,
}

impl Lateness {
    /// Of all requests of loops of which a profile has arrived: a profile carries the time at which it was due, and the
    /// other scrapes of its loop are whole intervals apart.
    pub(crate) fn of(scrapes: &[Scrape], arrived: &State) -> Self {
        let phases: BTreeMap<(&str, Kind), f64> = arrived
            .profiles
            .keys()
            .map(|(instance, kind, due)| {
                let due = Duration::from_nanos(*due).as_secs_f64();
                ((instance.as_str(), *kind), due)
            })
            .collect();
        let mut late: Vec<_> = scrapes
            .iter()
            .filter_map(|scrape| {
                let instance = scrape.address.to_string();
                let phase = phases.get(&(instance.as_str(), scrape.kind))?;
                let since = scrape.at - phase + EARLY;
                Some((since.rem_euclid(INTERVAL.as_secs_f64()) - EARLY).max(0.0))
            })
            .collect();
        late.sort_by(f64::total_cmp);
        let at = |percent: usize| late.get(late.len() * percent / 100).copied();
        Self {
            median: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
            largest: late.last().copied().unwrap_or_default(),
        }
    }
}
