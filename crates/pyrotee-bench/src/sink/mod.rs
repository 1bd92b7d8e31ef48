//! Stand-ins for Pyroscopes, healthy and sick, many in one process.
//!
//! `pyrotee-bench sink ok hang slow:200` opens a port for each mode, prints the addresses and then reads commands from
//! its standard input: `counts`, `reset`, `mode INDEX MODE`. It prints a line of JSON as the reply to each command. It
//! ends at the end of its input, so it never outlives the process that started it.

mod counts;
mod mode;
mod port;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{child::say, tls};
pub(crate) use counts::Counts;
pub(crate) use mode::Mode;
use port::Port;

/// The arguments of `pyrotee-bench sink`.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// One port per mode: ok, slow:MS, hang, stall, drip:BYTES_A_SECOND, reset, 500, dead, verify
    #[arg(required = true, value_name = "MODE")]
    modes: Vec<Mode>,
    /// Serve over TLS, with the certificate in this directory
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Number of the first ports that stay without TLS
    #[arg(long, default_value_t = 0)]
    plain: usize,
}

/// The first line that a sink prints.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Ports {
    pub(crate) ports: Vec<SocketAddr>,
}

/// The reply to a command that returns nothing.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Done {}

/// Serves until the end of standard input.
///
/// # Errors
///
/// If the certificate cannot be read, a port cannot be opened, or a command is not understood.
pub(crate) async fn serve(settings: &Settings) -> anyhow::Result<()> {
    let tls = settings.tls.as_deref().map(tls::server).transpose()?;
    let tls_of = |index| tls.clone().filter(|_| index >= settings.plain);
    let modes = settings.modes.iter().enumerate();
    let ports: Vec<Port> = modes
        .map(|(index, mode)| Port::open(*mode, tls_of(index)))
        .collect::<Result<_, _>>()
        .context("cannot open a port")?;
    let addresses = ports.iter().map(Port::address).collect();
    say(&Ports { ports: addresses })?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        obey(&line, &ports)?;
    }
    Ok(())
}

fn obey(line: &str, ports: &[Port]) -> anyhow::Result<()> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words.as_slice() {
        ["counts"] => say(&ports.iter().map(Port::counts).collect::<Vec<_>>()),
        ["reset"] => {
            ports.iter().for_each(Port::reset);
            say(&Done {})
        }
        ["mode", index, mode] => {
            let port = index.parse().ok().and_then(|index: usize| ports.get(index));
            let port = port.with_context(|| format!("no port {index}"))?;
            port.turn(mode.parse().map_err(anyhow::Error::msg)?)?;
            say(&Done {})
        }
        _ => bail!("no such command: {line}"),
    }
}
