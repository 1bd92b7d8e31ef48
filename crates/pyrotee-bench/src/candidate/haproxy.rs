//! HAProxy, which only forwards: through an agent it can mirror at most a buffer of 16 KB, too little here.

use std::{fs, process::Command};

use super::{Running, Setup, free_port, tools::HAPROXY};

pub(super) fn start(setup: Setup<'_>) -> anyhow::Result<Running> {
    let address = free_port()?;
    let config = setup.home.join("haproxy.cfg");
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  option http-keep-alive\n  http-reuse always\n\
         frontend in\n  bind {address} backlog 4096\n  default_backend local\n\
         backend local\n  server local {}\n",
        setup.upstream
    );
    fs::write(&config, text)?;
    let mut command = Command::new(HAPROXY.find()?);
    command.arg("-db").arg("-f").arg(&config);
    Running::at(address, "haproxy", command, setup)
}
