//! Processes that the bench starts and ends.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use serde::{Serialize, de::DeserializeOwned};

use crate::machine::{Cores, Role};

/// How long a process may take until it is ready.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The stream whose lines the bench reads from a process. The other stream goes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    Stdout,
    Stderr,
}

/// Prints a line of JSON at once, because the process that started this one waits for it.
pub(crate) fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    child: process::Child,
    lines: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Child {
    /// Starts a process on the core of its role.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        tells: Tells,
        role: Role,
        cores: Cores,
        home: &Path,
    ) -> anyhow::Result<Self> {
        let log = home.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let (out, pipe) = io::pipe()?;
        command.stdin(Stdio::piped());
        match tells {
            Tells::Stdout => command.stdout(pipe).stderr(file),
            Tells::Stderr => command.stdout(file).stderr(pipe),
        };
        let child = cores
            .bound(role, || command.spawn())
            .with_context(|| format!("cannot start {name}"))?;
        // Bounded: at the limit the process would block, but no measured process prints that many lines.
        let (sender, lines) = mpsc::sync_channel(10_000);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                drop(sender.try_send(line));
            }
        });
        Ok(Self {
            name: name.to_owned(),
            child,
            lines,
            log,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line, read as JSON.
    ///
    /// # Errors
    ///
    /// If no line arrives within `limit`, or the line cannot be read as `T`.
    pub(crate) fn tell<T: DeserializeOwned>(&self, limit: Duration) -> anyhow::Result<T> {
        let line = self.line(limit)?;
        let line = line.ok_or_else(|| self.trouble("says nothing"))?;
        serde_json::from_str(&line).with_context(|| format!("{} says {line:?}", self.name))
    }

    /// The next line; `None` if no line arrives within `limit`.
    ///
    /// # Errors
    ///
    /// If the process has ended.
    pub(crate) fn line(&self, limit: Duration) -> anyhow::Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(self.trouble("has ended")),
        }
    }

    /// Writes a line to the process's standard input.
    pub(crate) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("stdin is not piped")?;
        writeln!(input, "{line}").with_context(|| format!("{} does not read its input", self.name))
    }

    /// Waits until the process accepts connections at `address`.
    pub(crate) fn wait_for(&mut self, address: std::net::SocketAddr) -> anyhow::Result<()> {
        let last = Instant::now() + SOON;
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.trouble(&format!("has ended with {status}")));
            }
            if Instant::now() > last {
                return Err(self.trouble("does not listen"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// An error of this process, with the last lines that the process wrote.
    pub(crate) fn trouble(&self, what: &str) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let said: Vec<String> = self
            .lines
            .try_iter()
            .chain(log.lines().map(str::to_owned))
            .collect();
        let last = said.len().saturating_sub(8);
        anyhow!("{} {what}\n{}", self.name, said[last..].join("\n"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SIGTERM first, so that a process with children (nginx) can end its children.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // The process may have ended by itself.
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let last = Instant::now() + Duration::from_millis(300);
        while Instant::now() < last && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
