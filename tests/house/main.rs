//! The shape of the code (which crate may use which, how long a file may be) and of the pages.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is a failing test"
)]

/// The README and the pages of `docs/`, `deploy/` and `tests/`.
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Longest file of code in lines, tests included.
const LONGEST: usize = 400;

/// Largest median length of the files of code in `crates/`, in lines, without tests.
const MEDIAN: usize = 150;

/// Most lines of one crate without its tests: a larger crate has more than one reason to change.
const LARGEST_CRATE: usize = 6_000;

/// Crates that may be larger for now. In the spool, what joins and leaves while the relay runs could be a layer of its own.
const LARGER_FOR_NOW: [(&str, usize); 1] = [("pyrotee-spool", 6_450)];

/// Which crate may depend on which (ADR 17). `pyrotee-net` was added to the first drawing of the diamond: see ADR 2.
const DIAMOND: [(&str, &[&str]); 23] = [
    (
        "pyrotee",
        &[
            "pyroscope-wire",
            "pyrotee-admin",
            "pyrotee-client",
            "pyrotee-config",
            "pyrotee-delivery",
            "pyrotee-jetstream",
            "pyrotee-letters",
            "pyrotee-net",
            "pyrotee-proxy",
            "pyrotee-queue",
            "pyrotee-relay",
            "pyrotee-segments",
            "pyrotee-spool",
            "pyrotee-terminal",
            "pyrotee-tls",
        ],
    ),
    (
        "pyrotee-relay",
        &[
            "pyroscope-wire",
            "pyrotee-admin",
            "pyrotee-config",
            "pyrotee-delivery",
            "pyrotee-jetstream",
            "pyrotee-letters",
            "pyrotee-net",
            "pyrotee-proxy",
            "pyrotee-queue",
            "pyrotee-scrape",
            "pyrotee-segments",
            "pyrotee-spool",
            "pyrotee-tls",
        ],
    ),
    (
        "pyrotee-config",
        &[
            "pyroscope-wire",
            "pyrotee-files",
            "pyrotee-net",
            "pyrotee-scrape-config",
            "pyrotee-tls",
            "pyrotee-yaml",
        ],
    ),
    (
        "pyrotee-client",
        &[
            "pyroscope-wire",
            "pyrotee-admin",
            "pyrotee-letters",
            "pyrotee-net",
            "pyrotee-terminal",
            "pyrotee-tls",
        ],
    ),
    (
        "pyrotee-admin",
        &[
            "pyroscope-wire",
            "pyrotee-delivery",
            "pyrotee-letters",
            "pyrotee-net",
            "pyrotee-queue",
            "pyrotee-segments",
            "pyrotee-spool",
            "pyrotee-tls",
        ],
    ),
    (
        "pyrotee-letters",
        &[
            "pyroscope-wire",
            "pyrotee-delivery",
            "pyrotee-net",
            "pyrotee-queue",
        ],
    ),
    (
        "pyrotee-proxy",
        &[
            "pyroscope-wire",
            "pyrotee-dedup",
            "pyrotee-net",
            "pyrotee-queue",
            "pyrotee-tls",
        ],
    ),
    (
        "pyrotee-delivery",
        &[
            "pyroscope-wire",
            "pyrotee-net",
            "pyrotee-queue",
            "pyrotee-tls",
        ],
    ),
    ("pyrotee-spool", &["pyrotee-queue", "pyrotee-segments"]),
    (
        "pyrotee-jetstream",
        &[
            "pyrotee-net",
            "pyrotee-queue",
            "pyrotee-segments",
            "pyrotee-tls",
        ],
    ),
    ("pyrotee-segments", &["pyrotee-queue"]),
    ("pyrotee-dedup", &["pyroscope-wire"]),
    ("pyrotee-pprof", &["pyroscope-wire"]),
    (
        "pyrotee-scrape",
        &[
            "pyroscope-wire",
            "pyrotee-net",
            "pyrotee-pprof",
            "pyrotee-queue",
            "pyrotee-scrape-config",
            "pyrotee-yaml",
        ],
    ),
    (
        "pyrotee-scrape-config",
        &["pyroscope-wire", "pyrotee-tls", "pyrotee-yaml"],
    ),
    ("pyrotee-files", &["pyrotee-tls"]),
    ("pyrotee-net", &["pyrotee-tls"]),
    ("pyrotee-tls", &[]),
    ("pyrotee-queue", &[]),
    ("pyrotee-terminal", &[]),
    ("pyrotee-yaml", &[]),
    ("pyroscope-wire", &[]),
    // The bench measures the relay from outside, beside other proxies, and shares no code with it.
    ("pyrotee-bench", &[]),
];

/// Libraries that only some crates may use: YAML, the command line and the exporter stay out of the others, and sockets
/// stay out of the two crates that need none.
const RESERVED: [(&str, &[&str]); 15] = [
    ("async-nats", &["pyrotee-jetstream"]),
    ("axum", &["pyrotee-admin"]),
    ("figment", &["pyrotee-config"]),
    ("saphyr-parser", &["pyrotee-yaml"]),
    ("clap", &["pyrotee", "pyrotee-bench"]),
    ("clap_complete", &["pyrotee"]),
    ("clap_mangen", &["pyrotee"]),
    ("metrics-exporter-prometheus", &["pyrotee-relay"]),
    ("tracing-subscriber", &["pyrotee-relay"]),
    (
        "anyhow",
        &[
            "pyrotee",
            "pyrotee-bench",
            "pyrotee-client",
            "pyrotee-relay",
            "pyrotee-terminal",
        ],
    ),
    ("rustls", &["pyrotee-tls"]),
    ("tokio-rustls", &["pyrotee-bench", "pyrotee-net"]),
    ("rustls-webpki", &["pyrotee-tls"]),
    ("hickory-resolver", &["pyrotee-net"]),
    (
        "hyper",
        &[
            "pyrotee",
            "pyrotee-admin",
            "pyrotee-bench",
            "pyrotee-client",
            "pyrotee-delivery",
            "pyrotee-net",
            "pyrotee-proxy",
            "pyrotee-scrape",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The normal dependencies of every crate, by its name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(name)
            .collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (name(package), normal(package)))
        .collect()
}

#[test]
fn the_crates_know_each_other_as_drawn_and_no_further() {
    let dependencies = dependencies();
    let drawn: BTreeSet<_> = DIAMOND.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(dependencies.keys().cloned().collect::<BTreeSet<_>>(), drawn);
    for (name, allowed) in DIAMOND {
        let known: Vec<_> = dependencies[name].intersection(&drawn).collect();
        for other in known {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} may not know {other}"
            );
        }
    }
}

#[test]
fn some_libraries_are_for_some_crates_only() {
    for (name, known) in dependencies() {
        for (library, users) in RESERVED {
            let uses = known.contains(library);
            assert!(
                !uses || users.contains(&name.as_str()),
                "{name} may not use {library}"
            );
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for folder in ["crates", "tests"] {
        for (file, lines) in lengths(folder) {
            assert!(lines <= LONGEST, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn half_of_the_files_are_short() {
    let is_test =
        |path: &Path| path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
    let mut lengths = lengths("crates");
    lengths.retain(|(path, _)| !is_test(path.strip_prefix(root()).unwrap()));
    let mut lines: Vec<_> = lengths.into_iter().map(|(_, lines)| lines).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= MEDIAN, "the median is {median} lines");
}

/// Every file of code below a folder, and its number of lines.
fn lengths(folder: &str) -> Vec<(PathBuf, usize)> {
    let mut files = Vec::new();
    collect(&root().join(folder), "rs", &mut files);
    assert!(files.len() > 50, "the search found next to nothing");
    let length = |path: PathBuf| {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        (path, lines)
    };
    files.into_iter().map(length).collect()
}

/// Adds the files below a folder whose names have this ending.
fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, files);
        } else if path.extension().is_some_and(|it| it == ending) {
            files.push(path);
        }
    }
}

#[test]
fn no_crate_is_too_large_to_know() {
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let mut files = Vec::new();
        collect(&folder, "rs", &mut files);
        // `testing` is compiled for the tests of this and of other crates alone.
        let is_test = |file: &PathBuf| {
            let is_folder = |part: Component<'_>| {
                let name = part.as_os_str();
                name == "tests" || name == "testing"
            };
            file.ends_with("tests.rs")
                || file.ends_with("testing.rs")
                || file.components().any(is_folder)
        };
        let code = files.iter().filter(|file| !is_test(file));
        let lines: usize = code.map(|file| without_tests(file)).sum();
        let name = folder.file_name().unwrap().display().to_string();
        println!("{lines:6} lines without tests in {name}");
        let larger = LARGER_FOR_NOW.iter().find(|(larger, _)| *larger == name);
        let most = larger.map_or(LARGEST_CRATE, |(_, most)| *most);
        assert!(lines <= most, "{name} has {lines} lines");
    }
}

/// Lines of a file up to its inline module of tests, which ends it.
fn without_tests(file: &Path) -> usize {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            break;
        }
        count += 1;
    }
    count
}
