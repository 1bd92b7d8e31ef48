//! Measures whether a request costs the same while the spool of a dead target grows.

use std::{fs, path::Path};

use anyhow::ensure;

use super::{
    figures::Map,
    ledger,
    rig::Rig,
    trial::{Shape, Trial},
};
use crate::{
    load::Figures,
    machine::{Cores, cpu_seconds, rss},
    report::stats::spread,
    units::MB,
};

const BYTES: &str = "pyroscope_remote_write_spool_bytes";

/// Number of measurements with an empty and with a full spool, whose medians count, and the seconds of each.
const LOOKS: usize = 3;
const LOOK: f64 = 5.0;

/// Seconds of load between two checks of the spool's size.
const FILL: f64 = 5.0;

/// Measures with an empty spool, fills it to `bytes`, and measures again.
pub(crate) fn grow(trial: &Trial, dir: &Path, bytes: u64, cores: Cores) -> anyhow::Result<Map> {
    fs::create_dir_all(dir)?;
    let home = tempfile::Builder::new().prefix("spool").tempdir_in(dir)?;
    let mut trial = trial.clone();
    // Additional room for the profiles of the measurements, so that none is dropped.
    trial.relay.spool = Some((
        home.path().canonicalize()?.join("spool"),
        bytes + bytes / 4 + (1 << 30),
    ));
    let rig = Rig::start(&trial, cores)?;
    let admin = rig.candidate.admin.expect("a relay has an admin listener");
    let mut numbers = 0;
    let mut map = Map::new();
    look("empty", &trial, &rig, &mut numbers, &mut map)?;
    loop {
        let before = ledger::value(admin, BYTES)?;
        if before >= bytes as f64 {
            break;
        }
        let load = rig.load(Shape::closed(MB, 4), 0.0, FILL, numbers)?;
        load.begun()?;
        let figures = wait(&load)?;
        numbers += figures.numbers;
        let after = ledger::value(admin, BYTES)?;
        ensure!(
            after > before,
            "the spool does not grow beyond {after} bytes"
        );
    }
    map.insert("spool_gb".to_owned(), ledger::value(admin, BYTES)? / 1e9);
    look("full", &trial, &rig, &mut numbers, &mut map)?;
    for figure in ["cpu_ms", "p50_ms", "p99_ms"] {
        let of = |when: &str| {
            map.get(&format!("{figure}_{when}"))
                .copied()
                .unwrap_or(f64::NAN)
        };
        map.insert(format!("{figure}_growth"), of("full") / of("empty"));
    }
    Ok(map)
}

/// Puts medians of some measurements into `map`, and the sum of their errors.
fn look(
    when: &str,
    trial: &Trial,
    rig: &Rig,
    numbers: &mut u64,
    map: &mut Map,
) -> anyhow::Result<()> {
    let pid = rig.candidate.pid().expect("a relay is a process");
    let mut looks = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let load = rig.load(trial.shape, 1.0, LOOK, *numbers)?;
        load.begun()?;
        let cpu = cpu_seconds(pid);
        let figures = wait(&load)?;
        let cpu = cpu_seconds(pid) - cpu;
        *numbers += figures.numbers;
        looks.push((cpu * 1e3 / figures.answered.max(1) as f64, figures));
    }
    let median = |of: fn(&(f64, Figures)) -> f64| {
        spread(looks.iter().map(of)).map_or(f64::NAN, |spread| spread.median)
    };
    let mut set = |name: &str, value: f64| map.insert(format!("{name}_{when}"), value);
    set("cpu_ms", median(|(cpu, _)| *cpu));
    set("p50_ms", median(|(_, figures)| figures.latency.p50));
    set("p99_ms", median(|(_, figures)| figures.latency.p99));
    set("rss_mb", rss(pid) as f64 / 1e6);
    let errors = |(_, figures): &(f64, Figures)| figures.errors + figures.stuck;
    set("errors", looks.iter().map(errors).sum::<u64>() as f64);
    Ok(())
}

fn wait(load: &super::rig::Load) -> anyhow::Result<Figures> {
    let limit = crate::child::SOON * 2;
    load.ended(limit)?
        .ok_or_else(|| load.child.trouble("does not end"))
}
