//! `@pyroscope/nodejs` from npm: 0.6.4, the newest on 2026-11-23. It speaks `/ingest`, with raw pprof
//! for a body.

use std::{fs, process::Command, sync::Once};

use crate::{
    compare::{Surface, compare, named},
    tools::{Tools, command, program},
};

const NEEDS: &str = "node (18 or later) and npm (Debian: apt-get install nodejs npm) and a registry \
    that has @pyroscope/nodejs";

static INSTALLED: Once = Once::new();

#[test]
fn the_newest_node_sdk_sends_through_the_relay_as_if_it_was_not_there() {
    let mut tools = installed();
    let uploads = compare(&tools, Surface::Ingest, |server| {
        profiled(&tools, server, 3)
    });
    named(&uploads, "interop.node");
    tools.took("comparing");
}

/// The tools with the SDK and the program installed.
pub(crate) fn installed() -> Tools {
    let mut tools = Tools::new("node", NEEDS);
    INSTALLED.call_once(|| {
        let home = tools.home();
        // Node looks for packages beside the script, so all files are copied to one folder.
        for file in ["package.json", "package-lock.json", "busy.js"] {
            let from = program("node").join(file);
            fs::copy(from, home.join(file)).expect("the target directory can be written");
        }
        tools.install_once(&home.join("package-lock.json"), || {
            let ci = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
            tools.install(command("npm", &ci).arg("--prefix").arg(&home));
        });
        tools.took("installing");
    });
    tools
}

/// The program, busy for `seconds`, with an SDK that sends to `server`.
pub(crate) fn profiled(tools: &Tools, server: &str, seconds: u32) -> Command {
    let mut command = command("node", &[]);
    command.arg(tools.home().join("busy.js"));
    command.args([server, &seconds.to_string()]);
    command
}
