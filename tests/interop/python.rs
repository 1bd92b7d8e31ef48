//! `pyroscope-io` 0.8, the last one that posts to `/ingest`.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use flate2::read::GzDecoder;

use crate::support::{
    Relay, Upstream,
    key::{self, Key},
    poll, verbatim,
};

const SDK: &str = "pyroscope-io==0.8.16";

/// Downloading included.
const INSTALL: Duration = Duration::from_secs(300);

/// How long the program is busy, in seconds: the agent sends on every full ten seconds.
const BUSY: &str = "12";

#[test]
fn profiles_of_the_python_sdk_reach_the_upstream_untouched_and_the_target_tagged() {
    let python = environment();
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = verbatim(Relay::builder())
        .upstream(&upstream)
        .target(
            "central",
            &target,
            &[
                "tags: { region: relayed, cluster: c1 }",
                "tenant-id: of-the-relay",
            ],
        )
        .spawn();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/busy.py");
    let server = format!("http://{}", relay.addr());
    let arguments = [script.display().to_string(), server, BUSY.to_owned()];
    finish(
        &python,
        &arguments,
        Duration::from_secs(60),
        "the profiled program",
    );

    let ledger = relay.wait_ledger("central", "all sent", |ledger| {
        ledger.sent.profiles > 0 && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let (local, remote) = (upstream.requests(), target.requests());
    assert_eq!(local.len() as u64, ledger.sent.profiles);
    assert_eq!(remote.len(), local.len());
    for request in &local {
        let head = request.head.text();
        assert!(head.starts_with("POST /ingest?name="), "{head}");
        let names: Vec<_> = key::pairs(&request.head.query())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let order = ["name", "from", "until", "format", "sampleRate", "spyName"];
        assert_eq!(names, order, "{head}");
        let field = |name| request.head.get(name).unwrap_or_default();
        assert_eq!(field("content-encoding"), "gzip", "{head}");
        // sdk-user:sdk-password
        let basic = "Basic c2RrLXVzZXI6c2RrLXBhc3N3b3Jk";
        assert_eq!(field("authorization"), basic, "{head}");
        assert_eq!(field("x-scope-orgid"), "sdk-tenant", "{head}");
        // This SDK keeps its tags in the profile, where the relay has no business.
        let profile = unzipped(&request.body.data);
        for text in ["region", "zone"] {
            let mut places = profile.windows(text.len());
            assert!(places.any(|place| place == text.as_bytes()), "{text}");
        }
        let key = Key::of(&request.head.query());
        assert_eq!(key, Key::new("interop.python", &[]), "{head}");

        let mut copies = remote.iter();
        let copy = copies.find(|copy| copy.body.data == request.body.data);
        let copy = &copy.unwrap_or_else(|| panic!("no copy of {head}")).head;
        let tags = [("region", "relayed"), ("cluster", "c1")];
        assert_eq!(Key::of(&copy.query()), Key::new("interop.python", &tags));
        assert!(!copy.has("authorization"), "{}", copy.text());
        let tenant = copy.get("x-scope-orgid");
        assert_eq!(tenant.as_deref(), Some("of-the-relay"));
        let rest = |query: &str| key::pairs(query).split_off(1);
        assert_eq!(rest(&copy.query()), rest(&request.head.query()));
        for name in ["content-type", "content-encoding"] {
            assert_eq!(copy.get(name), request.head.get(name), "{name}");
        }
    }
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body)
        .read_to_end(&mut plain)
        .expect("the SDK sends gzip");
    plain
}

/// A Python that has the SDK, made once and kept below the target directory.
fn environment() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-python");
    let python = home.join("bin/python");
    let imports = ["-c", "import pyroscope"].map(str::to_owned);
    let usable = || run(&python, &imports, INSTALL).is_ok();
    if python.exists() && usable() {
        return python;
    }
    let make = ["-m", "venv", "--clear"].map(str::to_owned);
    let make = [&make[..], &[home.display().to_string()]].concat();
    finish(Path::new("python3"), &make, INSTALL, "python3 -m venv");
    let options = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        SDK,
    ];
    let install = options.map(str::to_owned);
    finish(&python, &install, INSTALL, "pip install");
    finish(&python, &imports, INSTALL, "import pyroscope");
    python
}

/// Runs a program that has to succeed.
fn finish(program: &Path, arguments: &[String], limit: Duration, what: &str) {
    if let Err(output) = run(program, arguments, limit) {
        panic!(
            "{what} failed. This test needs python3 (3.9 or later, glibc, x86-64 or arm64) with venv \
             and pip (Debian: apt-get install python3-venv python3-pip) and access to a package \
             index that has {SDK}.\n{output}"
        );
    }
}

/// Runs a program to its end; what it wrote if it did not succeed in time.
fn run(program: &Path, arguments: &[String], limit: Duration) -> Result<(), String> {
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = home.path().join("output");
    let output = File::create(&path).map_err(|error| error.to_string())?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let ended = poll(limit, || child.try_wait().expect("the child is ours"));
    if ended.is_none() {
        drop(child.kill());
        drop(child.wait());
    }
    if ended.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    Err(format!("{arguments:?} ended with {ended:?}\n{written}"))
}
