//! Whether a request costs the same while the spool of a dead target grows.

use std::{fs, path::Path};

use anyhow::ensure;

use super::{
    figures::Map,
    ledger,
    rig::Rig,
    trial::{MB, Shape, Trial},
};
use crate::machine::{Cores, cpu_seconds, rss};

const BYTES: &str = "pyroscope_remote_write_spool_bytes";

/// Seconds of a measurement.
const LOOK: f64 = 5.0;

/// Seconds after which somebody looks how full it is.
const FILL: f64 = 5.0;

/// Measures with an empty spool, fills it to `bytes`, and measures again.
pub(crate) fn grow(trial: &Trial, dir: &Path, bytes: u64, cores: Cores) -> anyhow::Result<Map> {
    fs::create_dir_all(dir)?;
    let home = tempfile::Builder::new().prefix("spool").tempdir_in(dir)?;
    let mut trial = trial.clone();
    // Room for what comes while it is measured, so that nothing is dropped.
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

fn look(
    when: &str,
    trial: &Trial,
    rig: &Rig,
    numbers: &mut u64,
    map: &mut Map,
) -> anyhow::Result<()> {
    let pid = rig.candidate.pid().expect("a relay is a process");
    let load = rig.load(trial.shape, 1.0, LOOK, *numbers)?;
    load.begun()?;
    let cpu = cpu_seconds(pid);
    let figures = wait(&load)?;
    let cpu = cpu_seconds(pid) - cpu;
    *numbers += figures.numbers;
    let mut set = |name: &str, value: f64| map.insert(format!("{name}_{when}"), value);
    set("cpu_ms", cpu * 1e3 / figures.answered.max(1) as f64);
    set("p50_ms", figures.latency.p50);
    set("p99_ms", figures.latency.p99);
    set("rss_mb", rss(pid) as f64 / 1e6);
    set("errors", (figures.errors + figures.stuck) as f64);
    Ok(())
}

fn wait(load: &super::rig::Load) -> anyhow::Result<crate::load::Figures> {
    let limit = crate::child::SOON * 2;
    load.ended(limit)?
        .ok_or_else(|| load.child.trouble("does not end"))
}
