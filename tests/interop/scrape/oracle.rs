//! The oracle: a program of the tests that computes a delta with `github.com/google/pprof/profile`.

use std::{collections::BTreeMap, fs, process::Stdio};

use tempfile::TempDir;

use super::{SIZE, tools};
use crate::tools::command;

/// The values by type of each stack; a stack is a text with its functions from the leaf. There are no zeros.
pub(super) type Sums = BTreeMap<String, BTreeMap<String, i64>>;

/// The values of each stack of a profile, which must be consistent.
pub(super) fn sums(profile: &[u8]) -> Sums {
    let files = files(&[profile]);
    parsed(&oracle(&files, &["sums", "0"]))
}

/// The values of each stack of `new` since `old`.
pub(super) fn delta(cumulative: &[&str], old: &[u8], new: &[u8]) -> Sums {
    let files = files(&[old, new]);
    parsed(&oracle(&files, &["delta", &cumulative.join(","), "0", "1"]))
}

/// The profile with 0 as the address of all locations.
pub(super) fn without_addresses(profile: &[u8]) -> Vec<u8> {
    let files = files(&[profile]);
    oracle(&files, &["bare", "0", "bare"]);
    fs::read(files.path().join("bare")).expect("the oracle wrote it")
}

/// The sum of a type over the allocations of [`App::allocate`](super::App::allocate). Now and then the runtime
/// allocates some bytes for itself in the same stack.
pub(super) fn allocated(sums: &Sums, kind: &str) -> i64 {
    let size = format!("bytes=[{SIZE}]");
    let is_allocation = |stack: &str| stack.starts_with("main.allocate ") && stack.contains(&size);
    let stacks = sums.iter().filter(|(stack, _)| is_allocation(stack));
    stacks.filter_map(|(_, values)| values.get(kind)).sum()
}

/// The sum of a type over all stacks.
pub(super) fn total(sums: &Sums, kind: &str) -> i64 {
    sums.values().filter_map(|values| values.get(kind)).sum()
}

/// A directory with the profiles as `0`, `1`, …
fn files(profiles: &[&[u8]]) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    for (number, profile) in profiles.iter().enumerate() {
        let path = home.path().join(number.to_string());
        fs::write(path, profile).expect("a temporary file can be written");
    }
    home
}

fn oracle(files: &TempDir, arguments: &[&str]) -> Vec<u8> {
    let done = command(tools().home().join("oracle"), arguments)
        .current_dir(files.path())
        .stderr(Stdio::inherit())
        .output()
        .expect("the oracle was built");
    assert!(done.status.success(), "oracle {arguments:?}");
    done.stdout
}

fn parsed(output: &[u8]) -> Sums {
    serde_json::from_slice(output).expect("the oracle writes JSON")
}
