//! Sets the revision and the compiler for the binary, for `--version` and `build_info`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    // An image is built without a repository: its build sets `PYROTEE_REVISION`.
    println!("cargo::rerun-if-env-changed=PYROTEE_REVISION");
    // Only paths that exist: a missing path counts as changed at every build.
    for path in ["../../.git/HEAD", "../../.git/refs/heads"] {
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let revision = env::var("PYROTEE_REVISION")
        .ok()
        .filter(|revision| !revision.is_empty());
    let revision = revision
        .or_else(|| output("git", &["rev-parse", "--short=10", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    let rustc = env::var("RUSTC")
        .ok()
        .and_then(|rustc| output(&rustc, &["--version"]));
    println!("cargo::rustc-env=PYROTEE_REVISION={revision}");
    println!(
        "cargo::rustc-env=PYROTEE_RUSTC={}",
        rustc.unwrap_or_default()
    );
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
