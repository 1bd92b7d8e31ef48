//! Measures how long a call takes, and which part of the time it works, waits for a processor, or is blocked.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A call that was timed.
#[derive(Debug)]
pub(crate) struct Stopwatch<T> {
    pub(crate) result: T,
    pub(crate) took: Duration,
    /// CPU time of the call.
    pub(crate) cpu: Duration,
    /// Time that was neither CPU time nor waiting for a processor: waiting for a lock or a disk.
    pub(crate) blocked: Duration,
}

impl<T> Stopwatch<T> {
    pub(crate) fn time(call: impl FnOnce() -> T) -> Self {
        let (queued, worked) = (run_delay(), time_of(ClockId::ThreadCPUTime));
        let start = Instant::now();
        let result = call();
        let took = start.elapsed();
        let cpu = time_of(ClockId::ThreadCPUTime) - worked;
        let queued = run_delay() - queued;
        Self {
            result,
            took,
            cpu,
            blocked: took.saturating_sub(cpu + queued),
        }
    }
}

thread_local! {
    static SCHEDSTAT: File = File::open("/proc/thread-self/schedstat").expect("Linux tells schedstat");
}

/// How long this thread has waited for a processor so far, as the kernel reports it.
fn run_delay() -> Duration {
    let mut line = [0; 80];
    let len = SCHEDSTAT.with(|file| file.read_at(&mut line, 0)).unwrap();
    let line = str::from_utf8(&line[..len]).unwrap();
    let delay = line.split_whitespace().nth(1).unwrap();
    Duration::from_nanos(delay.parse().unwrap())
}

/// User and system time of this process.
pub(crate) fn cpu_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap();
    Duration::new(u64::try_from(time.tv_sec).unwrap(), nanoseconds)
}

/// Times of single calls, sorted.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }

    /// The time that `thousandths` of 1,000 calls do not exceed, as text.
    pub(crate) fn at(&self, thousandths: usize) -> String {
        let last = self.0.len() - 1;
        text(self.0[(self.0.len() * thousandths / 1_000).min(last)])
    }

    pub(crate) fn max(&self) -> String {
        self.at(1_000)
    }
}

/// A duration of any size as text, with about three digits.
pub(crate) fn text(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..10.0 => format!("{micros:.1} µs"),
        ..1e3 => format!("{micros:.0} µs"),
        ..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}
