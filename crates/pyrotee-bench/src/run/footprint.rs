//! Memory of an idle relay, and the time until its first response.

use std::{fs, thread, time::Duration};

use super::{figures::Map, ledger, rig::Rig, trial::Trial};
use crate::{
    candidate::{Candidate, relay_path},
    machine::{Cores, rss},
};

/// Wait after a start, until short-lived memory of the start is freed.
const SETTLED: Duration = Duration::from_secs(3);

/// Number of starts, of which the median counts.
const STARTS: usize = 11;

/// Measures resident memory without a request.
pub(crate) fn idle(trial: &Trial, cores: Cores) -> anyhow::Result<Map> {
    let rig = Rig::start(trial, cores)?;
    thread::sleep(SETTLED);
    let bytes = rig.candidate.pid().map_or(0, rss);
    let mut map = Map::from([("rss_mb".to_owned(), bytes as f64 / 1e6)]);
    if let Candidate::Relay(_) = trial.candidate {
        let length = fs::metadata(relay_path()?)?.len();
        map.insert("binary_mb".to_owned(), length as f64 / 1e6);
    }
    Ok(map)
}

/// Measures the time from the start of the process to the end of the first response through the relay.
pub(crate) fn start(trial: &Trial, cores: Cores) -> anyhow::Result<Map> {
    let mut rig = Rig::start(trial, cores)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = rig.start_again(trial)?;
        ledger::get(rig.candidate.address, "/")?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(Map::from([
        ("start_ms".to_owned(), times[STARTS / 2]),
        ("start_max_ms".to_owned(), times[STARTS - 1]),
    ]))
}
