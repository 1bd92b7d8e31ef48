//! Checks the directories of the spool and of the dead letters.

use std::path::{Component, Path, PathBuf};

/// Directories of the operating system, which belong to many programs. A disk of its own may be mounted at any other path.
const SHARED: [&str; 29] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/dev/shm",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Reads the path of a directory that pyrotee has for itself. `example` is the remedy.
///
/// # Errors
/// The path is relative, goes up with `..`, or is a directory of the operating system.
pub(super) fn own(text: &str, example: &str) -> Result<PathBuf, String> {
    let dir = Path::new(text);
    if !dir.is_absolute() {
        return Err(format!(
            "is a relative path, which depends on where the relay is started; write an absolute one, such as {example}"
        ));
    }
    if dir.components().any(|it| it == Component::ParentDir) {
        return Err(format!(
            "has a `..`; write the path without it, such as {example}"
        ));
    }
    // Equal paths have equal components: `/var/lib/` is `/var/lib`.
    if SHARED.iter().any(|shared| Path::new(shared) == dir) {
        return Err(format!(
            "is a directory of the operating system, and the files of pyrotee need one of their own; write {example}"
        ));
    }
    Ok(dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_use_or_that_moves_is_refused() {
        for (text, problem) in [
            ("/", "operating system"),
            ("/etc", "operating system"),
            ("/etc/", "operating system"),
            ("//var//./lib/", "operating system"),
            ("/var/lib/pyrotee/..", "`..`"),
            ("spool", "relative"),
            ("./spool", "relative"),
            ("~/spool", "relative"),
            (".", "relative"),
        ] {
            let fault = own(text, "/var/lib/pyrotee/spool").unwrap_err();
            assert!(
                fault.contains(problem) && fault.ends_with("/var/lib/pyrotee/spool"),
                "{text}: {fault}"
            );
        }
        for text in [
            "/data",
            "/mnt",
            "/srv",
            "/var/lib/pyrotee",
            "/tmp/a",
            "/dev/shm/a",
        ] {
            assert_eq!(own(text, "x"), Ok(PathBuf::from(text)));
        }
    }
}
