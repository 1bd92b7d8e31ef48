//! The real binary as a child process: its configuration, its logs, its start and end.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    client::{self, Request},
    config::Builder,
    metrics::{Ledger, Metrics},
    poll::{SOON, poll},
};

/// A running relay. It is killed when dropped, and its logs are printed if the test failed.
#[derive(Debug)]
pub(crate) struct Relay {
    process: Process,
    data: SocketAddr,
    admin: SocketAddr,
}

/// A relay that ended by itself, as it does on a faulty configuration.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Everything that the relay wrote to stderr.
    pub(crate) output: String,
}

#[derive(Debug)]
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Holds the configuration file, and a spool if there is one.
    home: TempDir,
}

impl Relay {
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn spawn(builder: &Builder) -> Self {
        let process = Process::start(builder);
        let address = |listener| {
            process.address(listener).unwrap_or_else(|| {
                panic!(
                    "no {listener} listener within {SOON:?}:\n{}",
                    process.text()
                )
            })
        };
        let (data, admin) = (address("data"), address("admin"));
        Self {
            process,
            data,
            admin,
        }
    }

    /// Starts a relay that must refuse its configuration, and waits for its end.
    pub(super) fn refuse(builder: &Builder) -> Ended {
        let mut process = Process::start(builder);
        let status = process.wait(SOON).expect("a relay that cannot run ends");
        // The thread that reads stderr may still be busy with the last lines.
        let mut last = usize::MAX;
        poll(Duration::from_secs(1), || {
            let now = process.text().len();
            let settled = now == std::mem::replace(&mut last, now) && now > 0;
            settled.then_some(())
        });
        Ended {
            status,
            output: process.text(),
        }
    }

    /// The address of the listener for clients.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.data
    }

    /// The address of the admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The directory of the configuration; `{home}` in the builder's texts.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.process.home.path()
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> client::Response {
        client::send(self.data, request)
    }

    /// Scrapes `/metrics`.
    pub(crate) fn metrics(&self) -> Metrics {
        let answer = client::send(self.admin, &Request::get("/metrics"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        Metrics::parse(std::str::from_utf8(&answer.body.data).expect("metrics are text"))
    }

    /// Waits until the spool is open.
    pub(crate) fn wait_until_spool_is_open(&self) {
        let mode = "pyroscope_remote_write_spool_mode";
        let is_open = || {
            let waiting = self.metrics().value(mode, &[("mode", "waiting")]);
            (waiting != Some(1.0)).then_some(())
        };
        poll(SOON, is_open)
            .unwrap_or_else(|| panic!("the spool does not open:\n{}", self.output()));
    }

    /// Waits until the dead letters are open, if there are any.
    pub(crate) fn wait_until_dead_letters_are_open(&self) {
        let open = "pyroscope_remote_write_dead_letters_open";
        let are_open = || (self.metrics().value(open, &[]) != Some(0.0)).then_some(());
        poll(SOON, are_open)
            .unwrap_or_else(|| panic!("the dead letters do not open:\n{}", self.output()));
    }

    /// The account of a target now. It must balance at every scrape.
    pub(crate) fn ledger(&self, target: &str) -> Ledger {
        let ledger = self.metrics().ledger(target);
        assert!(ledger.balances(), "{ledger:?}");
        ledger
    }

    /// Waits until the account of a target satisfies `condition`.
    pub(crate) fn wait_ledger(
        &self,
        target: &str,
        what: &str,
        condition: impl Fn(&Ledger) -> bool,
    ) -> Ledger {
        let settled = poll(SOON, || {
            Some(self.ledger(target)).filter(|ledger| condition(ledger))
        });
        settled.unwrap_or_else(|| panic!("not in time: {what}: {:?}", self.ledger(target)))
    }

    /// Asks the relay to stop.
    pub(crate) fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process.child);
        kill_process(pid, signal).expect("the relay was started by this test and not reaped yet");
    }

    /// Waits for the end of the process; `None` when it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.wait(limit)
    }

    /// The log so far.
    pub(crate) fn logs(&self) -> Vec<Value> {
        let lines = self
            .process
            .lines
            .lock()
            .expect("the reader does not panic");
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Everything the process wrote to stderr so far.
    pub(crate) fn output(&self) -> String {
        self.process.text()
    }

    /// How many file descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let listed = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        listed.expect("the relay runs").count()
    }

    /// The most memory the process ever had resident, in bytes.
    pub(crate) fn rss_peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that the process has resident now, in bytes.
    pub(crate) fn rss(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The CPU time that the process has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let stat = stat.expect("the relay runs");
        // The name of the program, in parentheses, may contain spaces.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let fields: Vec<_> = fields.split(' ').collect();
        let ticks = |nth: usize| fields[nth].parse::<u32>().expect("ticks are counted");
        // utime and stime of proc(5), in hundredths of a second.
        (ticks(11) + ticks(12)) * Duration::from_millis(10)
    }

    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).expect("the relay runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line
            .and_then(|l| l.trim().strip_suffix(" kB"))
            .expect("Linux tells the memory of a process");
        kib.trim().parse::<u64>().expect("it is a number") * 1024
    }
}

impl Process {
    fn start(builder: &Builder) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let config: PathBuf = home.path().join("pyrotee.yaml");
        fs::write(&config, builder.text(home.path())).expect("the configuration can be written");
        let mut child = builder
            .command(env!("CARGO_BIN_EXE_pyrotee"))
            .args(["run", "--log-format", "json", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built with this test");
        let lines = Arc::default();
        let stderr = child.stderr.take().expect("stderr is piped");
        collect(stderr, Arc::clone(&lines));
        Self { child, lines, home }
    }

    /// Waits for the log line with the address of a listener.
    fn address(&self, listener: &str) -> Option<SocketAddr> {
        poll(SOON, || {
            let lines = self.lines.lock().expect("the reader does not panic");
            lines.iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                // The formatter puts fields at the top or below `fields`.
                let get = |key: &str| line.get(key).or_else(|| line.get("fields")?.get(key));
                let named = get("message")? == "listening" && get("listener")? == listener;
                let address = get("address")?.as_str()?;
                named.then(|| address.parse().expect("an address and a port"))
            })
        })
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        poll(limit, || self.child.try_wait().expect("the child is ours"))
    }

    fn text(&self) -> String {
        self.lines
            .lock()
            .expect("the reader does not panic")
            .join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- the relay's stderr\n{}\n---", self.text());
        }
    }
}

fn collect(stderr: ChildStderr, lines: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            lines
                .lock()
                .expect("nobody panics with the lock")
                .push(line);
        }
    });
}
