//! A disk that hangs: while a switch is on, syncs do not return.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::config::Builder;

const NEEDED: &str = "this test needs `cc`, which also links Rust (Debian: gcc)";

/// Makes the syncs of one relay hang.
#[derive(Debug)]
pub(crate) struct HangingDisk {
    home: TempDir,
}

impl HangingDisk {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let source = home.path().join("hang.c");
        fs::write(&source, include_str!("hang.c")).expect("it can be written");
        let disk = Self { home };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([disk.library(), source])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "{NEEDED}");
        disk
    }

    /// Runs the relay with this disk.
    pub(crate) fn under(&self, builder: Builder) -> Builder {
        let text = |path: PathBuf| path.display().to_string();
        builder
            .env("LD_PRELOAD", &text(self.library()))
            .env("HANG_SYNC", &text(self.switch()))
    }

    /// From now on no sync returns.
    pub(crate) fn hang(&self) {
        fs::write(self.switch(), "").expect("it can be written");
    }

    fn library(&self) -> PathBuf {
        self.home.path().join("hang.so")
    }

    fn switch(&self) -> PathBuf {
        self.home.path().join("hang")
    }
}
