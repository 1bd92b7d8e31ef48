//! The relay, as it is shipped.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::Value;

use super::{Running, Setup, tools};
use crate::{
    child::{Child, SOON, Tells},
    tls::{CA, CERTIFICATE, KEY, NAME},
    units::MIB,
};

/// The relay's settings that differ from its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `memory-limit`, in bytes.
    pub(crate) memory_limit: u64,
    /// Directory and limit in bytes of the spool; `None` for no spool.
    pub(crate) spool: Option<(PathBuf, u64)>,
    /// Additional lines of configuration for every target.
    pub(crate) target: Vec<String>,
}

impl Default for Settings {
    /// The defaults of the relay, but a queue for more than 100 profiles. If the core runs something else for a tenth
    /// of a second, a load of 1,000 profiles per second fills a queue of 100.
    fn default() -> Self {
        Self {
            memory_limit: 256 * MIB,
            spool: None,
            target: vec!["queue-size: 10000".to_owned()],
        }
    }
}

/// The name of the target with this index, in the configuration and in metrics.
pub(crate) fn target(index: usize) -> String {
    format!("t{index}")
}

pub(super) fn start(setup: Setup<'_>, settings: &Settings) -> anyhow::Result<Running> {
    let config = setup.home.join("pyrotee.yaml");
    fs::write(&config, text(setup, settings))?;
    let mut command = Command::new(tools::relay()?);
    command
        .args(["run", "--log-format", "json", "--config"])
        .arg(&config);
    let child = setup.run("relay", command, Tells::Stderr)?;
    let (address, admin) = listening(&child)?;
    Ok(Running {
        admin: Some(admin),
        ..Running::new(address, Some(child))
    })
}

fn text(setup: Setup<'_>, settings: &Settings) -> String {
    let [upstream_scheme, target_scheme] = setup.schemes();
    let mut text = format!(
        "listen: \"127.0.0.1:0\"\nadmin: \"127.0.0.1:0\"\nmemory-limit: {}\nupstream:\n  address: \"{upstream_scheme}://{}\"\n",
        settings.memory_limit, setup.upstream
    );
    let tls = format!(
        "tls: {{ ca-file: \"{}\", server-name: {NAME} }}",
        setup.file(CA)
    );
    let mut add = |line: &str| writeln!(text, "{line}").expect("a string takes everything");
    if upstream_scheme == "https" {
        add(&format!("  {tls}"));
    }
    if setup.encrypted.clients {
        let (certificate, key) = (setup.file(CERTIFICATE), setup.file(KEY));
        add(&format!(
            "listen-tls: {{ cert-file: \"{certificate}\", key-file: \"{key}\" }}"
        ));
    }
    if let Some((dir, bytes)) = &settings.spool {
        add(&format!(
            "spool: {{ dir: \"{}\", max-bytes: {bytes} }}",
            Path::display(dir)
        ));
    }
    if !setup.targets.is_empty() {
        add("remote-write:\n  enabled: true\n  targets:");
    }
    for (index, address) in setup.targets.iter().enumerate() {
        add(&format!(
            "    {}:\n      address: \"{target_scheme}://{address}\"",
            target(index)
        ));
        if setup.encrypted.servers {
            add(&format!("      {tls}"));
        }
        add(&format!("      tags: {{ cluster: bench-{index} }}"));
        settings
            .target
            .iter()
            .for_each(|line| add(&format!("      {line}")));
    }
    text
}

/// The addresses for clients and for scrapers, read from the relay's log.
fn listening(child: &Child) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let (mut data, mut admin) = (None, None);
    let last = Instant::now() + SOON;
    while Instant::now() < last {
        let Some(line) = child.line(last - Instant::now())? else {
            break;
        };
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let field = |name: &str| {
            line.get(name)
                .or_else(|| line.get("fields")?.get(name))?
                .as_str()
        };
        if field("message") == Some("listening") {
            let address = field("address").and_then(|address| address.parse().ok());
            match field("listener") {
                Some("data") => data = address,
                Some("admin") => admin = address,
                _ => {}
            }
        }
        if let (Some(data), Some(admin)) = (data, admin) {
            return Ok((data, admin));
        }
    }
    Err(child.trouble("does not say where it listens"))
}
