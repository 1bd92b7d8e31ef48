//! Reads small files whole, through symlinks and up to a limit.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// How often a file that is not found is looked for. Kubernetes moves the symlink `..data` to a new directory and
/// then removes the old one, so a path that was followed between the two steps ends at a file that is gone.
const TRIES: usize = 3;

/// The path that stands for the standard input.
pub const STDIN: &str = "-";

/// The bytes of a file; `None` if there are more than `limit`.
///
/// # Errors
/// The file cannot be opened or read, or is a pipe, a socket, a device or a directory: reading it could wait for ever.
pub fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut tries = 1..TRIES;
    loop {
        match read_file(path, limit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
            done => return done,
        }
    }
}

fn read_file(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    read_up_to(File::open(path)?, limit)
}

/// As [`read`], but also reads the standard input, a pipe, a socket or a device, to its end.
///
/// # Errors
/// As [`read`], or the end has not come `within` this time. The thread that waits for the end stays until the process ends.
pub fn read_any(path: &Path, limit: u64, within: Duration) -> io::Result<Option<Vec<u8>>> {
    if !is_read_once(path) {
        return read(path, limit);
    }
    let (done, result) = mpsc::sync_channel(1);
    let path = path.to_owned();
    thread::Builder::new()
        .name("configuration".to_owned())
        .spawn(move || {
            let read = match is_stdin(&path) {
                true => read_up_to(io::stdin(), limit),
                false => File::open(&path).and_then(|file| read_up_to(file, limit)),
            };
            // Nobody receives the result after the time is over.
            let _received = done.send(read);
        })?;
    result.recv_timeout(within).unwrap_or_else(|error| {
        let text = match error {
            RecvTimeoutError::Timeout => {
                format!("its end has not come within {} s", within.as_secs())
            }
            RecvTimeoutError::Disconnected => "the thread that reads it has panicked".to_owned(),
        };
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

fn read_up_to(from: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // One more byte distinguishes a file of exactly `limit` bytes from a longer one.
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|len| len <= limit);
    Ok(fits.then_some(bytes))
}

/// Whether a path stands for the standard input.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// Whether a file has its content only once: the standard input, a pipe, a socket or a device.
#[must_use]
pub fn is_read_once(path: &Path) -> bool {
    is_stdin(path) || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = read_any(&pipe, 10, Duration::ZERO).unwrap_err();
        assert!(
            error.to_string().contains("has not come within 0 s"),
            "{error}"
        );
    }

    #[test]
    fn a_device_without_an_end_is_too_large() {
        let read = read_any(Path::new("/dev/zero"), 10, Duration::from_secs(60));
        assert_eq!(read.unwrap(), None);
    }
}
