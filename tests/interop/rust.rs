//! `pyroscope` from crates.io with its feature `backend-pprof-rs`: 2.1.5, the newest on 2026-11-23.
//! It speaks Push.

use crate::{
    compare::{Surface, compare},
    tools::{Tools, command, program},
};

const NEEDS: &str = "cargo (https://rustup.rs) and a registry that has the crate pyroscope";

#[test]
fn the_newest_rust_sdk_pushes_through_the_relay_as_if_it_was_not_there() {
    let mut tools = Tools::new("rust", NEEDS);
    let target = tools.home().join("target");
    let mut build = command(env!("CARGO"), &["build", "--quiet", "--locked"]);
    build.arg("--manifest-path").arg(program("rust/Cargo.toml"));
    build.arg("--target-dir").arg(&target);
    // Flags of the relay's build, such as those for coverage, are not meant for the program.
    build.env_remove("RUSTFLAGS");
    tools.install(&mut build);
    tools.took("installing");
    let binary = target.join("debug/busy");
    compare(&tools, Surface::Push, |server| {
        command(&binary, &[server, "3"])
    });
    tools.took("comparing");
}
