//! Computes the named figures of a trial.
//!
//! | figure | meaning |
//! |---|---|
//! | `rate` | responses per second |
//! | `p50_ms` … `max_ms` | latency of requests with a response |
//! | `errors`, `stuck`, `unsent` | requests that failed, got no response, found no free connection |
//! | `answered` | share of the due requests that got a response |
//! | `late_ms` | 99th percentile of the schedule's own lateness |
//! | `cpu_ms` | CPU time of the candidate per request, its copies included |
//! | `cpu_per_copy_ms` | `cpu_ms` divided by the number of the request and its copies |
//! | `rss_mb`, `rss_share` | peak of resident memory, and its share of the promised limit |
//! | `delivered` | share of the profiles that arrived at the healthy target with the fewest |
//! | `dropped` | profiles that the relay dropped for healthy targets |
//! | `unaccounted` | profiles by which the relay's ledger does not balance, or that arrived without being counted |
//! | `slope_mb_per_minute` | growth of memory in the second half of a trial |
//! | `drained`, `noticed_s`, `caught_up_s` | of a recovered target: final share of profiles, time to first and all |
//! | `tail_of_before` | tail latency while the backlog is sent, divided by the tail latency before |
//! | `missing`, `damaged`, `doubled` | bodies missing, damaged or doubled at the upstream and healthy targets |

use std::collections::BTreeMap;

use super::{
    trial::{Kind, Trial},
    watch::Seen,
};
use crate::{candidate::Candidate, load::Window, units::MIB};

/// Promised memory of the process itself, its runtime and its allocator, in bytes.
const FIXED: f64 = 16.0 * MIB as f64;

/// Promised factor of memory above the bytes that are charged to the budget.
const OVERHEAD: f64 = 1.15;

/// Promised memory of a connection's buffers, in bytes.
const PER_CONNECTION: f64 = 160.0 * 1024.0;

pub(crate) type Map = BTreeMap<String, f64>;

pub(crate) fn of(trial: &Trial, seen: &Seen) -> Map {
    let mut map = Map::new();
    let mut set = |name: &str, value: f64| {
        map.insert(name.to_owned(), value);
    };
    let load = &seen.load;
    set("rate", load.rate);
    set("p50_ms", load.latency.p50);
    set("p90_ms", load.latency.p90);
    set("p99_ms", load.latency.p99);
    set("p999_ms", load.latency.p999);
    set("max_ms", load.latency.max);
    set("errors", load.errors as f64);
    set("stuck", load.stuck as f64);
    set("unsent", load.unsent as f64);
    set("answered", share(load.answered, load.sent + load.unsent));
    set("late_ms", load.late_p99);
    if trial.candidate != Candidate::Direct {
        let cpu = seen.cpu * 1e3 / load.answered.max(1) as f64;
        set("cpu_ms", cpu);
        set(
            "cpu_per_copy_ms",
            cpu / (1 + trial.candidate.targets()) as f64,
        );
        set("rss_mb", seen.rss_peak as f64 / 1e6);
    }
    let healthy: Vec<_> = seen.targets.iter().take(trial.healthy_targets()).collect();
    let came = seen.upstream.profiles();
    if let Some(least) = healthy.iter().map(|target| target.profiles()).min() {
        set("delivered", share(least, came));
    }
    let all = || healthy.iter().copied().chain([&seen.upstream]);
    set("damaged", sum(all().map(|counts| counts.damaged)));
    set("doubled", sum(all().map(|counts| counts.doubled)));
    let missing = healthy
        .iter()
        .map(|counts| came.saturating_sub(counts.profiles()));
    let unseen = load.taken.saturating_sub(came);
    set("missing", sum(missing.chain([unseen])));
    if let Candidate::Relay(_) = trial.candidate {
        let ledgers = seen.ledgers.iter().take(healthy.len());
        // In a crowded trial one target may use the memory of all.
        if !trial.crowded {
            set(
                "dropped",
                ledgers.map(|ledger| ledger.profiles.dropped).sum(),
            );
        }
        set("unaccounted", unaccounted(seen, healthy.len()));
        let budget = OVERHEAD * trial.relay.memory_limit as f64;
        let bound = FIXED + budget + PER_CONNECTION * trial.shape.connections as f64;
        set("rss_share", seen.rss_peak as f64 / bound);
    }
    match trial.kind {
        Kind::Slope => set(
            "slope_mb_per_minute",
            slope(&seen.rss, trial.seconds / 2.0) * 60.0 / 1e6,
        ),
        Kind::Recovery(back) => recovery(seen, back, &mut map),
        _ => {}
    }
    map
}

/// Number of profiles by which the relay's ledgers do not balance or contradict the counts of the sinks.
fn unaccounted(seen: &Seen, healthy: usize) -> f64 {
    let came = seen.upstream.profiles() as f64;
    let each = seen.ledgers.iter().enumerate().map(|(index, ledger)| {
        let profiles = &ledger.profiles;
        let offered = (profiles.accepted - came).abs();
        let balance = profiles.imbalance().max(f64::from(!ledger.balances()));
        let counts = seen.targets.get(index).filter(|_| index < healthy);
        // A profile is counted as sent only after its arrival.
        let sent = counts.map_or(0.0, |counts| {
            (profiles.sent - counts.profiles() as f64).max(0.0)
        });
        offered + balance + sent
    });
    each.sum()
}

/// Figures of a target's recovery: how fast the backlog arrives, and the clients' latency meanwhile.
fn recovery(seen: &Seen, back: f64, map: &mut Map) {
    let came = seen.upstream.distinct;
    let last = seen.targets.last().map_or(0, |counts| counts.distinct);
    let mut set = |name: &str, value: f64| {
        map.insert(name.to_owned(), value);
    };
    set("drained", share(last, came));
    let first = seen
        .last
        .iter()
        .find(|(at, count)| *at > back && *count > 0);
    let Some((first, _)) = first else { return };
    set("noticed_s", first - back);
    // Almost all profiles, because new ones arrive at the same time.
    let rate = seen.load.rate;
    let caught_up = seen
        .last
        .iter()
        .find(|(at, count)| at > first && *count as f64 >= (at - 0.5) * rate);
    let end = caught_up.map_or(f64::INFINITY, |(at, _)| *at);
    set("caught_up_s", end - back);
    let before = tail(&seen.load.windows, 0.0..back);
    let during = tail(&seen.load.windows, *first..end);
    if let (Some(before), Some(during)) = (before, during) {
        set("tail_before_ms", before);
        set("tail_draining_ms", during);
        set("tail_of_before", during / before);
    }
}

/// The 90th percentile of the slowest response of each window of a tenth of a second.
fn tail(windows: &[Window], within: std::ops::Range<f64>) -> Option<f64> {
    let inside = windows.iter().filter(|window| within.contains(&window.at));
    let mut slowest: Vec<_> = inside.map(|window| window.max).collect();
    slowest.sort_by(f64::total_cmp);
    slowest.get(slowest.len() * 9 / 10).copied()
}

/// Growth of memory in bytes per second, by least squares, from second `from` on.
fn slope(samples: &[(f64, u64)], from: f64) -> f64 {
    let late: Vec<_> = samples.iter().filter(|(at, _)| *at >= from).collect();
    let count = late.len().max(1) as f64;
    let x = late.iter().map(|(at, _)| at).sum::<f64>() / count;
    let y = late.iter().map(|(_, rss)| *rss as f64).sum::<f64>() / count;
    let up: f64 = late
        .iter()
        .map(|(at, rss)| (at - x) * (*rss as f64 - y))
        .sum();
    let along: f64 = late.iter().map(|(at, _)| (at - x).powi(2)).sum();
    if along > 0.0 { up / along } else { 0.0 }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 {
        1.0
    } else {
        part as f64 / of as f64
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> f64 {
    counts.sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_second_half() {
        let samples: Vec<_> = (0..20_u32)
            .map(|at| (f64::from(at), if at < 10 { 0 } else { u64::from(at) * 500 }))
            .collect();
        assert!((slope(&samples, 10.0) - 500.0).abs() < 1e-6);
        assert!(slope(&[], 0.0).abs() < 1e-9);
    }

    #[test]
    fn the_tail_is_the_slowest_but_a_tenth() {
        let windows: Vec<_> = (0..10)
            .map(|index| Window {
                at: f64::from(index) / 10.0,
                max: f64::from(index),
                ..Window::default()
            })
            .collect();
        assert_eq!(tail(&windows, 0.0..0.95), Some(9.0));
        assert_eq!(tail(&windows, 2.0..3.0), None);
    }
}
