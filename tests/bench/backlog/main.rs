//! An outage of a target with the backlog in memory, in a spool, and on NATS JetStream, one after the other, in real time.
//! Run by `make bench-backlog`, which prints a table.
//!
//! The load keeps its schedule whatever the responses are. The bench exits with 1 if a backend loses or doubles a profile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not the product"
)]

#[path = "../../e2e/support/mod.rs"]
mod support;

use std::{
    fs,
    net::SocketAddr,
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use support::{
    Answer, Builder, Client, Relay, Request, Upstream, client::noise, key::Key, nats::Nats, poll,
    ports::Refusing,
};

/// Bytes of a profile.
const SIZE: usize = 50_000;

/// Profiles a second: 5 MB a second.
const RATE: u32 = 100;

/// How long the target takes everything, and then how long nothing listens at its address.
const UP: Duration = Duration::from_secs(10);
const DOWN: Duration = Duration::from_secs(30);

/// How long the delivery of the backlog may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Connections that send in turn.
const CLIENTS: u32 = 8;

/// CPU time and most memory of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: Duration,
    peak: u64,
}

/// The figures of one backend.
struct Row {
    name: &'static str,
    /// Times of the responses to clients, sorted: while the target is up, and while it is down.
    up: Vec<Duration>,
    down: Vec<Duration>,
    /// CPU time of the relay while the target is up, while it is down, and until the backlog is delivered.
    relay: [Duration; 3],
    relay_peak: u64,
    broker: Cost,
    /// From the return of the target to its first profile, and from there to its last one.
    noticed: Duration,
    delivered: Duration,
    lost: usize,
    doubled: usize,
}

fn main() -> ExitCode {
    println!(
        "{RATE} profiles of {SIZE} bytes a second; the target is up for {UP:?} and down for {DOWN:?}, `replay-rate: 20MB`\n"
    );
    println!(
        "| backlog | response p50 / p99 / max, target up | target down | relay CPU up / down / delivery | relay RSS \
         | broker CPU / RSS | noticed after | delivered in | lost | doubled |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let spool = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{ dir: \"{}\" }}", spool.path().display());
    let nats = Nats::start();
    let shared = format!(
        "shared: {{ servers: [\"{}\"], replicas: 1, after: 1s, max-bytes: 1GiB }}",
        nats.url()
    );
    let mut is_whole = true;
    for (name, block, broker) in [
        ("memory", "", None),
        ("spool", &*spool, None),
        ("JetStream, one server", &*shared, Some(&nats)),
    ] {
        let row = run(name, block, broker);
        is_whole &= row.lost == 0 && row.doubled == 0;
        println!("{}", row.text());
    }
    ExitCode::from(u8::from(!is_whole))
}

fn run(name: &'static str, block: &str, broker: Option<&Nats>) -> Row {
    let port = Refusing::new();
    let target = open(&port);
    // Room for everything, so that nothing has to be dropped.
    let room = [
        "queue-size: 20000",
        "queue-bytes: 512MiB",
        "replay-rate: 20MB",
    ];
    let builder: Builder = Relay::builder()
        .yaml("memory-limit: 1GiB")
        .yaml(block)
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &room);
    let relay = builder.spawn();
    let before = broker.map(cost).unwrap_or_default();
    let mut cpu = vec![relay.cpu_time()];

    let up = load(relay.addr(), 0, UP);
    let last = (RATE * secs(UP)) as usize;
    wait_for(&target, last);
    let first_part = names(&target);
    cpu.push(relay.cpu_time());
    drop(target.stop());
    let down = load(relay.addr(), last, DOWN);
    cpu.push(relay.cpu_time());
    let count = last + (RATE * secs(DOWN)) as usize;

    let target = open(&port);
    let opened = Instant::now();
    wait_for(&target, count - last);
    cpu.push(relay.cpu_time());
    // A moment for what comes twice.
    thread::sleep(Duration::from_secs(2));
    let arrivals = target.requests();
    let (begin, end) = (arrivals[0].at, arrivals[arrivals.len() - 1].at);
    let mut all = [first_part, names(&target)].concat();
    let total = all.len();
    all.sort();
    all.dedup();
    let after = broker.map(cost).unwrap_or_default();
    Row {
        name,
        up,
        down,
        relay: [0, 1, 2].map(|nth| cpu[nth + 1].saturating_sub(cpu[nth])),
        relay_peak: relay.rss_peak(),
        broker: Cost {
            cpu: after.cpu.saturating_sub(before.cpu),
            peak: after.peak,
        },
        noticed: begin.duration_since(opened),
        delivered: end.duration_since(begin),
        lost: count - all.len(),
        doubled: total - all.len(),
    }
}

fn open(port: &Refusing) -> Upstream {
    Upstream::at(&port.address().to_string(), |_| Answer::ok())
}

/// Sends profiles from the number `first` on for `length`, and returns the times of the responses, sorted.
fn load(relay: SocketAddr, first: usize, length: Duration) -> Vec<Duration> {
    let (begin, times) = (Instant::now(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for turn in 0..CLIENTS {
            let times = &times;
            scope.spawn(move || {
                let (mut client, body) = (Client::connect(relay), noise(SIZE));
                for number in (turn..RATE * secs(length)).step_by(CLIENTS as usize) {
                    let due = Duration::from_secs(1) * number / RATE;
                    thread::sleep(due.saturating_sub(begin.elapsed()));
                    let name = format!("app{}", first + number as usize);
                    let sent = Instant::now();
                    let answer = client.exchange(&Request::profile(&name, &body));
                    assert_eq!(answer.status(), 200, "{answer:?}");
                    times.lock().unwrap().push(sent.elapsed());
                }
            });
        }
    });
    let mut times = times.into_inner().unwrap();
    times.sort();
    times
}

fn secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap()
}

fn names(target: &Upstream) -> Vec<String> {
    let requests = target.requests();
    let names = requests.iter().map(|it| Key::of(&it.head.query()).app);
    names.collect()
}

/// Waits until the target has got so many profiles, or for so long as a delivery may take.
fn wait_for(target: &Upstream, count: usize) {
    poll(PATIENCE, || {
        thread::sleep(Duration::from_millis(100));
        (target.connections() > 0 && names(target).len() >= count).then_some(())
    });
}

fn cost(broker: &Nats) -> Cost {
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", broker.pid())).unwrap();
    let stat = read("stat");
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |nth: usize| fields[nth].parse::<u32>().unwrap();
    let status = read("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    Cost {
        // utime and stime of proc(5), in hundredths of a second.
        cpu: (ticks(11) + ticks(12)) * Duration::from_millis(10),
        peak: peak.parse::<u64>().unwrap() * 1024,
    }
}

impl Row {
    fn text(&self) -> String {
        let at = |times: &[Duration], share: usize| ms(times[(times.len() - 1) * share / 100]);
        let times = |times: &[Duration]| {
            format!("{} / {} / {}", at(times, 50), at(times, 99), at(times, 100))
        };
        let cpu = self
            .relay
            .map(|cpu| format!("{:.1} s", cpu.as_secs_f64()))
            .join(" / ");
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let broker = match self.broker.peak {
            0 => "–".to_owned(),
            peak => format!("{:.1} s / {}", self.broker.cpu.as_secs_f64(), mib(peak)),
        };
        format!(
            "| {} | {} | {} | {cpu} | {} | {broker} | {:.1} s | {:.1} s | {} | {} |",
            self.name,
            times(&self.up),
            times(&self.down),
            mib(self.relay_peak),
            self.noticed.as_secs_f64(),
            self.delivered.as_secs_f64(),
            self.lost,
            self.doubled,
        )
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
