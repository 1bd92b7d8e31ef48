//! `pyroscope-io` from PyPI: 1.4.0, the newest on 2026-11-23, which uses Push, and 0.8.16, the last version that uses
//! `/ingest`.

use std::{process::Command, sync::Mutex};

use crate::{
    compare::{Surface, compare},
    push,
    support::key::{self, Key},
    tools::{Tools, command, program},
};

const NEEDS: &str = "python3 (3.9 or later, glibc, x86-64 or arm64) with venv and pip (Debian: \
    apt-get install python3-venv python3-pip) and a package index that has pyroscope-io";

#[test]
fn the_newest_python_sdk_pushes_through_the_relay_as_if_it_was_not_there() {
    let mut tools = newest();
    compare(&tools, Surface::Push, |server| profiled(&tools, server, 3));
    tools.took("comparing");
}

#[test]
fn the_last_python_sdk_of_ingest_sends_through_the_relay_as_if_it_was_not_there() {
    // This SDK sends whenever the clock shows a multiple of ten seconds.
    let mut tools = installed("python-0.8", "python/requirements-ingest.txt");
    let uploads = compare(&tools, Surface::Ingest, |server| {
        profiled(&tools, server, 12)
    });
    tools.took("comparing");
    for upload in uploads {
        let query = upload.head.query();
        let names: Vec<_> = key::pairs(&query).into_iter().map(|pair| pair.0).collect();
        let order = ["name", "from", "until", "format", "sampleRate", "spyName"];
        assert_eq!(names, order, "{query}");
        // This SDK keeps its tags inside the profile, which the relay does not change.
        assert_eq!(Key::of(&query), Key::new("interop.python", &[]), "{query}");
        let profile = push::unzipped(&upload.body);
        for text in ["region", "zone"] {
            let mut places = profile.windows(text.len());
            assert!(places.any(|place| place == text.as_bytes()), "{text}");
        }
    }
}

/// The tools with the newest SDK installed.
pub(crate) fn newest() -> Tools {
    static INSTALLED: Mutex<()> = Mutex::new(());
    let _guard = INSTALLED.lock();
    installed("python", "python/requirements.txt")
}

fn installed(name: &'static str, manifest: &str) -> Tools {
    let mut tools = Tools::new(name, NEEDS);
    let manifest = program(manifest);
    let environment = tools.home().join("venv");
    let python = environment.join("bin/python");
    tools.install_once(&manifest, || {
        let venv = ["-m", "venv", "--clear"];
        tools.install(command("python3", &venv).arg(&environment));
        let pip = ["-m", "pip", "install", "--quiet"];
        let file = ["--disable-pip-version-check", "--requirement"];
        tools.install(command(&python, &pip).args(file).arg(&manifest));
    });
    tools.install(&mut command(&python, &["-c", "import pyroscope"]));
    tools.took("installing");
    tools
}

/// The program, busy for `seconds`, with an SDK that sends to `server`.
pub(crate) fn profiled(tools: &Tools, server: &str, seconds: u32) -> Command {
    let mut command = command(tools.home().join("venv/bin/python"), &[]);
    command.arg(program("python/busy.py"));
    command.args([server, &seconds.to_string()]);
    command
}
