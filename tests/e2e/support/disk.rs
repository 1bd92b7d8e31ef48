//! A small file system that can really be filled.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

const NEEDED: &str = "this test fills a small file system of its own. It needs `unshare`, `nsenter` and `mount` \
                      (Debian: util-linux, mount), and either root with CAP_SYS_ADMIN or user namespaces \
                      (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)";

/// A tmpfs in a mount namespace of its own. It goes away with this value, even after a panic.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    point: TempDir,
    /// Keeps the mount namespace alive until its input ends.
    holder: Child,
}

impl SmallDisk {
    pub(crate) fn new(bytes: u64) -> Self {
        let point = tempfile::tempdir().expect("a temporary directory can be made");
        let script =
            format!("mount -t tmpfs -o size={bytes} none \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--", "sh", "-c", &script])
            .arg(point.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("unshare: {error}; {NEEDED}"));
        let mut line = String::new();
        let output = holder.stdout.take().expect("it is piped");
        let read = BufReader::new(output).read_line(&mut line);
        if read.is_err() || line.trim() != "mounted" {
            let mut said = String::new();
            if let Some(mut errors) = holder.stderr.take() {
                drop(errors.read_to_string(&mut said));
            }
            panic!("{}; {NEEDED}", said.trim());
        }
        Self { point, holder }
    }

    /// Its path for a process in the namespace.
    pub(crate) fn path(&self) -> &Path {
        self.point.path()
    }

    /// Its path for this process.
    pub(crate) fn seen(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.path().strip_prefix("/").expect("it is absolute"))
    }

    /// The words before a command that run the command in the namespace.
    pub(crate) fn enter(&self) -> Vec<String> {
        let holder = self.holder.id().to_string();
        let words = [
            "nsenter",
            "--target",
            &holder,
            "--user",
            "--preserve-credentials",
            "--mount",
            "--",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// Takes all space that is left.
    pub(crate) fn fill(&self) {
        let file = File::options()
            .append(true)
            .create(true)
            .open(self.filler());
        let mut file = file.expect("the file system is there");
        // Write smaller and smaller pieces, until not a single byte fits.
        for piece in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Gives back what [`fill`](Self::fill) took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    /// Mounts an empty directory that cannot be written over the file system, until `uncover`.
    pub(crate) fn cover(&self) {
        self.run(&["mount", "-t", "tmpfs", "-o", "ro,size=4k", "none"]);
    }

    pub(crate) fn uncover(&self) {
        self.run(&["umount"]);
    }

    fn run(&self, command: &[&str]) {
        let mut words = self.enter();
        words.extend(command.iter().map(|&word| word.to_owned()));
        let status = Command::new(&words[0])
            .args(&words[1..])
            .arg(self.path())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{command:?}; {NEEDED}"
        );
    }

    fn filler(&self) -> PathBuf {
        self.seen().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}
