//! `pyroscope-io` from PyPI: 1.4.0, the newest on 2026-11-23, which uses Push, and 0.8.16, the last version that uses
//! `/ingest`.

use crate::{
    compare::{Surface, Upload, compare},
    push,
    support::key::{self, Key},
    tools::{Tools, command, program},
};

const NEEDS: &str = "python3 (3.9 or later, glibc, x86-64 or arm64) with venv and pip (Debian: \
    apt-get install python3-venv python3-pip) and a package index that has pyroscope-io";

#[test]
fn the_newest_python_sdk_pushes_through_the_relay_as_if_it_was_not_there() {
    profile("python", "python/requirements.txt", Surface::Push, "3");
}

#[test]
fn the_last_python_sdk_of_ingest_sends_through_the_relay_as_if_it_was_not_there() {
    // This SDK sends whenever the clock shows a multiple of ten seconds.
    let manifest = "python/requirements-ingest.txt";
    for upload in profile("python-0.8", manifest, Surface::Ingest, "12") {
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

fn profile(name: &'static str, manifest: &str, surface: Surface, seconds: &str) -> Vec<Upload> {
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
    let script = program("python/busy.py");
    let uploads = compare(&tools, surface, |server| {
        let mut command = command(&python, &[]);
        command.arg(&script).args([server, seconds]);
        command
    });
    tools.took("comparing");
    uploads
}
