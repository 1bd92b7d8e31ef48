//! Describes the machine on which figures were measured.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// Facts about the machine that matter when figures are compared.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// The TCP congestion control: `bbr` halves a single stream on loopback.
    pub(crate) congestion: String,
    pub(crate) load: String,
}

pub(crate) fn describe() -> Machine {
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let cpu = model.map_or("unknown", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    // All cores of the machine, because this process has bound itself to one core by now.
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor"));
    Machine {
        cpu: cpu.to_owned(),
        cores: cores.count(),
        kernel: read("/proc/sys/kernel/osrelease"),
        congestion: read("/proc/sys/net/ipv4/tcp_congestion_control"),
        load: read("/proc/loadavg"),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}
