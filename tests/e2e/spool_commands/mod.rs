//! `pyrotee spool …`, beside a running relay and after its end.

mod files;
mod moves;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Builder, Client, Relay, Request, SOON, Upstream,
    client::noise,
    command::{Done, pyrotee},
    eventually,
    key::parameter,
};

/// A directory that contains a spool and the other files of a test.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    fn spool(&self) -> PathBuf {
        self.0.path().join("spool")
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A relay without a local upstream, with `fsync: always`.
    fn relay(&self) -> Builder {
        let dir = self.spool();
        let spool = format!("spool: {{ dir: \"{}\", fsync: always }}", dir.display());
        Relay::builder()
            .yaml(&spool)
            .yaml("shutdown: { grace: 0s }")
            .remote_write("disable-local-writes: true")
    }

    /// Names and contents of all files of the spool.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.spool()).expect("there is a spool");
        let read = files.filter_map(|file| {
            let file = file.expect("it can be listed");
            let name = file.file_name().to_string_lossy().into_owned();
            // A relay may have unlinked the file since it was listed.
            Some((name, fs::read(file.path()).ok()?))
        });
        read.collect()
    }

    fn segment(&self) -> PathBuf {
        let content = self.content();
        let name = content.keys().find(|name| name.ends_with(".log"));
        self.spool().join(name.expect("there is a segment"))
    }
}

/// An address at which nothing listens.
fn nobody() -> String {
    format!("http://{}", Upstream::ok().stop())
}

/// Sends profiles of 5,000 bytes, each with a body of its own.
fn send(relay: &Relay, names: &[String]) {
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(name, &noise(5_000)));
        assert_eq!(answer.status(), 200, "{name}");
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app{number:03}")).collect()
}

/// A relay that was killed with ten profiles for `central` and for each of `others`.
fn killed(home: &Home, others: &[&str]) {
    let mut builder = home.relay().target_address("central", &nobody(), &[]);
    for other in others {
        builder = builder.target_address(other, &nobody(), &[]);
    }
    let mut relay = builder.spawn();
    send(&relay, &numbered(10));
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
}

fn spool(args: &[&str]) -> Done {
    pyrotee(&[&["spool"], args].concat())
}

fn path(path: &Path) -> &str {
    path.to_str()
        .expect("temporary directories have plain names")
}

/// Names of the profiles that a target got, sorted.
fn names(target: &Upstream) -> Vec<String> {
    let requests = target.requests();
    let name = |query: &str| parameter(query, "name").expect("an upload has a name");
    let mut names: Vec<_> = requests
        .iter()
        .map(|request| name(&request.head.query()))
        .collect();
    names.sort();
    names
}

fn target<'a>(page: &'a Value, name: &str) -> &'a Value {
    let mut targets = page["targets"].as_array().expect("a list").iter();
    let found = targets.find(|target| target["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {page}"))
}

fn wait_until_written(relay: &Relay, profiles: f64) {
    let written = "pyroscope_remote_write_spool_written_bytes_total";
    eventually(SOON, "all to be written", || {
        relay.metrics().value(written, &[]) >= Some(profiles * 5_000.0)
    });
}
