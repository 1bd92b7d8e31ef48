//! `github.com/grafana/pyroscope-go` from the module proxy: 1.4.3, the newest on 2026-11-23. It
//! speaks `/ingest`, with a multipart body.

use crate::{
    compare::{Surface, compare, named},
    tools::{Tools, command, program},
};

const NEEDS: &str = "go (1.21 or later, which fetches the newer one that the SDK asks for: \
    https://go.dev/dl, or Debian 13: apt-get install golang) and a module proxy that has \
    github.com/grafana/pyroscope-go";

#[test]
fn the_newest_go_sdk_sends_through_the_relay_as_if_it_was_not_there() {
    let mut tools = Tools::new("go", NEEDS);
    let binary = tools.home().join("busy");
    let mut build = command("go", &["build", "-mod=readonly", "-o"]);
    build.arg(&binary).arg(".").current_dir(program("go"));
    tools.install(&mut build);
    tools.took("installing");
    let uploads = compare(&tools, Surface::Ingest, |server| {
        command(&binary, &[server, "3"])
    });
    named(&uploads, "interop.go");
    tools.took("comparing");
}
