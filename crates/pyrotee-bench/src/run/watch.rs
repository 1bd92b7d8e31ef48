//! Runs the load of a trial and samples the candidate and the sinks.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::{
    ledger::Ledger,
    rig::Rig,
    trial::{Kind, Trial},
};
use crate::{
    load::Figures,
    machine::{Foreign, cpu_seconds, forget_peak, rss, rss_peak},
    sink::{Counts, Mode},
};

/// Seconds of warm-up before requests count.
const WARM_UP: f64 = 0.5;

/// Interval between two samples.
const LOOK: Duration = Duration::from_millis(100);

/// Time without a new copy after which no more copies are expected.
const QUIET: Duration = Duration::from_secs(3);

/// How long copies may arrive after the end of the load.
const DRAIN: Duration = Duration::from_secs(15);

/// Seconds that a load may take beyond its nominal duration.
const SLACK: f64 = 30.0;

/// The samples and counts of a trial.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) load: Figures,
    pub(crate) foreign: [f64; 2],
    /// CPU seconds of the candidate, including the delivery of all copies.
    pub(crate) cpu: f64,
    /// Peak of resident memory, in bytes.
    pub(crate) rss_peak: u64,
    /// Resident memory over time: seconds and bytes.
    pub(crate) rss: Vec<(f64, u64)>,
    pub(crate) upstream: Counts,
    pub(crate) targets: Vec<Counts>,
    pub(crate) ledgers: Vec<Ledger>,
    /// Distinct profiles at the last target over time: seconds and number.
    pub(crate) last: Vec<(f64, u64)>,
}

/// Runs the load of a trial on a rig.
pub(crate) fn watch(trial: &Trial, rig: &mut Rig) -> anyhow::Result<Seen> {
    let load = rig.load(trial.shape, WARM_UP, trial.seconds, 0)?;
    load.begun()?;
    let pid = rig.candidate.pid();
    if let Some(pid) = pid {
        forget_peak(pid);
    }
    let measures = vec![rig.sinks.pid(), load.child.pid(), std::process::id()];
    let foreign = Foreign::begin(rig.cores, pid.into_iter().collect(), measures);
    let cpu = pid.map_or(0.0, cpu_seconds);
    let begun = Instant::now();
    let most = trial.seconds + SLACK;
    let mut changes = changes(trial).into_iter().peekable();
    let (mut samples, mut last) = (Vec::new(), Vec::new());
    let figures = loop {
        if let Some(figures) = load.ended(LOOK)? {
            break figures;
        }
        let at = begun.elapsed().as_secs_f64();
        if at > most {
            bail!(load.child.trouble("does not end"));
        }
        while let Some((_, mode)) = changes.next_if(|(from, _)| *from <= at) {
            rig.sinks.turn_last(mode)?;
        }
        if let (Kind::Slope, Some(pid)) = (&trial.kind, pid) {
            samples.push((at, rss(pid)));
        }
        if let Kind::Recovery(_) = trial.kind {
            let (_, targets) = rig.sinks.counts()?;
            last.extend(targets.last().map(|counts| (at, counts.distinct)));
        }
    };
    let foreign = foreign.end();
    // A target that recovers is healthy again.
    let healthy = match trial.kind {
        Kind::Recovery(_) => trial.candidate.targets(),
        _ => trial.healthy_targets(),
    };
    let (upstream, targets) = drain(rig, healthy)?;
    Ok(Seen {
        load: figures,
        foreign,
        cpu: pid.map_or(0.0, cpu_seconds) - cpu,
        rss_peak: pid.map_or(0, rss_peak),
        rss: samples,
        upstream,
        targets,
        ledgers: rig.ledgers(trial.candidate.targets())?,
        last,
    })
}

fn changes(trial: &Trial) -> Vec<(f64, Mode)> {
    match &trial.kind {
        Kind::Timeline(changes) => changes.clone(),
        Kind::Recovery(from) => vec![(*from, Mode::Ok)],
        _ => Vec::new(),
    }
}

/// Waits until the healthy targets have every profile, or no more copies arrive.
fn drain(rig: &mut Rig, healthy: usize) -> anyhow::Result<(Counts, Vec<Counts>)> {
    let end = Instant::now() + DRAIN;
    let mut before = (0, Instant::now());
    loop {
        let (upstream, targets) = rig.sinks.counts()?;
        let complete = targets
            .iter()
            .take(healthy)
            .all(|target| target.profiles() >= upstream.profiles());
        let all = upstream.profiles() + targets.iter().map(|target| target.requests).sum::<u64>();
        if all != before.0 {
            before = (all, Instant::now());
        }
        if complete || before.1.elapsed() > QUIET || Instant::now() > end {
            return Ok((upstream, targets));
        }
        std::thread::sleep(LOOK / 5);
    }
}
