//! `github.com/grafana/pyroscope-go` from the module proxy: 1.4.3, the newest on 2026-11-23. It
//! speaks `/ingest`, with a multipart body.

use std::{process::Command, sync::Once};

use crate::{
    compare::{Surface, compare, named},
    tools::{Tools, command, program},
};

const NEEDS: &str = "go (1.21 or later, which fetches the newer one that the SDK asks for: \
    https://go.dev/dl, or Debian 13: apt-get install golang) and a module proxy that has \
    github.com/grafana/pyroscope-go";

static INSTALLED: Once = Once::new();

#[test]
fn the_newest_go_sdk_sends_through_the_relay_as_if_it_was_not_there() {
    let mut tools = installed();
    let uploads = compare(&tools, Surface::Ingest, |server| {
        profiled(&tools, server, 3)
    });
    named(&uploads, "interop.go");
    tools.took("comparing");
}

/// The tools with the program built.
pub(crate) fn installed() -> Tools {
    let mut tools = Tools::new("go", NEEDS);
    INSTALLED.call_once(|| {
        let mut build = command("go", &["build", "-mod=readonly", "-o"]);
        build.arg(tools.home().join("busy")).arg(".");
        tools.install(build.current_dir(program("go")));
        tools.took("installing");
    });
    tools
}

/// The program, busy for `seconds`, with an SDK that sends to `server`.
pub(crate) fn profiled(tools: &Tools, server: &str, seconds: u32) -> Command {
    let seconds = seconds.to_string();
    command(tools.home().join("busy"), &[server, &seconds])
}
