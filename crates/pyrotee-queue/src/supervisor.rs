//! Catches, counts and logs the panics of the threads and tasks that must go on after a panic.
//!
//! A panic is a bug. It ends the current piece of work, but neither the thread nor the process. The code of each part
//! decides what happens to that work, and whether the part goes on at once, after a pause, or without its disk.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock;

/// Longest text of a panic that is logged and kept, in characters.
const MAX_TEXT: usize = 512;

/// Time between two log lines about panics of the same part.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A part of the process that goes on after a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The thread of the admin listener.
    Admin,
    /// The thread that writes dead letters.
    DeadLetters,
    /// The deliverers of all targets, with their workers.
    Deliverer,
    /// The task that reloads the configuration, with the threads that read its files.
    Reload,
    /// The tasks and threads of pull mode.
    Scrape,
    /// The tasks of the backlog that several relays share.
    Shared,
    /// The thread that reads records of the spool.
    SpoolRead,
    /// The thread that hands the records of a removed target to another target.
    SpoolReplay,
    /// The thread that syncs the files of the spool.
    SpoolSync,
    /// The thread that writes the spool.
    SpoolWrite,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 10] = [
        Self::Admin,
        Self::DeadLetters,
        Self::Deliverer,
        Self::Reload,
        Self::Scrape,
        Self::Shared,
        Self::SpoolRead,
        Self::SpoolReplay,
        Self::SpoolSync,
        Self::SpoolWrite,
    ];

    /// The name of the thread, and the value of the `thread` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DeadLetters => "dead-letters",
            Self::Deliverer => "deliverer",
            Self::Reload => "reload",
            Self::Scrape => "scrape",
            Self::Shared => "shared",
            Self::SpoolRead => "spool-read",
            Self::SpoolReplay => "spool-replay",
            Self::SpoolSync => "spool-sync",
            Self::SpoolWrite => "spool-write",
        }
    }
}

/// Catches, counts and logs panics. Clones share the counts; a process has one supervisor.
#[derive(Debug, Clone, Default)]
pub struct Supervisor(Arc<[PanicLog; Part::ALL.len()]>);

/// The panics of one part.
#[derive(Debug, Default)]
struct PanicLog {
    panics: AtomicU64,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    last_line: Option<Instant>,
    /// Panics since `last_line` that were not logged.
    left_out: u64,
}

/// The text of a panic, as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic(String);

impl Supervisor {
    /// Runs `body`. If `body` panics, the panic is counted, logged and returned.
    ///
    /// # Errors
    /// `body` panicked.
    pub fn catch<T>(&self, part: Part, body: impl FnOnce() -> T) -> Result<T, Panic> {
        // Data that `body` shares with other threads is behind locks, and no panic leaves it half changed: see `lock`.
        let result = catch_unwind(AssertUnwindSafe(body));
        result.map_err(|panic| self.note(part, Panic::of(&*panic)))
    }

    /// Awaits `future`. If `future` panics, the panic is counted, logged and returned.
    ///
    /// # Errors
    /// `future` panicked.
    pub async fn catch_future<T>(
        &self,
        part: Part,
        future: impl Future<Output = T>,
    ) -> Result<T, Panic> {
        let result = catch_panic(future).await;
        result.map_err(|panic| self.note(part, panic))
    }

    /// Counts a panic that its part logs by itself.
    pub fn count(&self, part: Part) {
        self.log(part).panics.fetch_add(1, Relaxed);
    }

    /// How often a part has panicked.
    pub fn panics(&self, part: Part) -> u64 {
        self.log(part).panics.load(Relaxed)
    }

    fn note(&self, part: Part, panic: Panic) -> Panic {
        self.count(part);
        if let Some(left_out) = self.log(part).next_line() {
            let thread = part.as_str();
            tracing::error!(thread, %panic, left_out, "a thread panicked, which is a bug");
        }
        panic
    }

    fn log(&self, part: Part) -> &PanicLog {
        let [
            admin,
            dead_letters,
            deliverer,
            reload,
            scrape,
            shared,
            spool_read,
            spool_replay,
            spool_sync,
            spool_write,
        ] = &*self.0;
        match part {
            Part::Admin => admin,
            Part::DeadLetters => dead_letters,
            Part::Deliverer => deliverer,
            Part::Reload => reload,
            Part::Scrape => scrape,
            Part::Shared => shared,
            Part::SpoolRead => spool_read,
            Part::SpoolReplay => spool_replay,
            Part::SpoolSync => spool_sync,
            Part::SpoolWrite => spool_write,
        }
    }
}

impl PanicLog {
    /// How many panics were not logged since the last line. `None`: no line is due, and this panic is not logged.
    fn next_line(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state
            .last_line
            .is_some_and(|line| line + BETWEEN_LINES > now)
        {
            state.left_out += 1;
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

/// Awaits `future`, and returns the text of its panic if it panics. Nothing is counted or logged.
///
/// # Errors
/// `future` panicked.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    let mut future = pin!(future);
    // Unwind-safe as in `Supervisor::catch`, and the future is not polled again after a panic.
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(Panic::of(&*panic))),
        },
    )
    .await
}

impl Panic {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let line = text.unwrap_or("unknown").chars().take(MAX_TEXT);
        Self(line.map(|c| if c.is_control() { ' ' } else { c }).collect())
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_counted_and_told_in_one_line() {
        let supervisor = Supervisor::default();
        let clone = supervisor.clone();
        assert_eq!(supervisor.catch(Part::Admin, || 7), Ok(7));
        let panic = clone.catch(Part::Admin, || panic!("two\nlines {}", 1));
        assert_eq!(panic, Err::<(), _>(Panic("two lines 1".to_owned())));
        let future = async {
            tokio::task::yield_now().await;
            panic!("later");
        };
        let panic = supervisor.catch_future(Part::SpoolRead, future).await;
        assert_eq!(
            panic.map_err(|it| it.to_string()),
            Err::<(), _>("later".to_owned())
        );
        let panic = supervisor.catch(Part::SpoolRead, || std::panic::panic_any(7));
        assert_eq!(panic, Err::<(), _>(Panic("unknown".to_owned())));
        let counts = Part::ALL.map(|part| supervisor.panics(part));
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_line_in_ten_seconds_tells_of_all_panics() {
        let log = PanicLog::default();
        let mut lines = Vec::new();
        for _ in 0..45 {
            lines.extend(log.next_line());
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert_eq!(lines, [0, 19, 19]);
    }
}
