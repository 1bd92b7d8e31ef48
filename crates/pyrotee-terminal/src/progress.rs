//! Progress of a long command, on stderr, because the output on stdout is for other programs.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// Minimum time between two lines where stderr is no terminal.
const LINES: Duration = Duration::from_secs(5);

/// Unit of the progress of a command.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Bytes,
    Profiles,
    Letters,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => {
                "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
            }
            Self::Profiles => {
                "{msg} {wide_bar} {human_pos}/{human_len} profiles, {per_sec}, {eta} left"
            }
            Self::Letters => {
                "{msg} {wide_bar} {human_pos}/{human_len} letters, {per_sec}, {eta} left"
            }
        }
    }
}

/// A progress bar if stderr is a terminal; dropping the display removes the bar. Elsewhere nothing is written, or a
/// line every 5 s.
#[derive(Debug)]
pub struct ProgressDisplay {
    verb: &'static str,
    bar: ProgressBar,
    /// When the last line was written. `None` if there are no lines.
    last_line: Option<Cell<Instant>>,
}

impl ProgressDisplay {
    pub fn new(verb: &'static str, unit: Unit, total: u64) -> Self {
        // The bar is on stderr, and hidden if stderr is no terminal.
        let bar = ProgressBar::new(total).with_message(verb);
        let style = ProgressStyle::with_template(unit.template());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            verb,
            bar,
            last_line: None,
        }
    }

    /// Writes a line every 5 s if stderr is no terminal.
    pub fn with_lines(mut self) -> Self {
        self.last_line = (self.bar.is_hidden()).then(|| Cell::new(Instant::now()));
        self
    }

    pub fn add(&self, count: u64) {
        self.bar.inc(count);
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if let Some(last) = &self.last_line
            && last.get().elapsed() >= LINES
            && done < total
        {
            last.set(Instant::now());
            self.print_line(&format!("{}: {done} of {total}", self.verb));
        }
    }

    pub fn set(&self, count: u64) {
        self.bar.set_position(count);
    }

    /// Writes a line that stays, above the bar if there is one.
    pub fn print_line(&self, line: &str) {
        // Failures are ignored: stderr may be closed.
        self.bar
            .suspend(|| drop(writeln!(io::stderr().lock(), "{line}")));
    }

    /// Returns a function with which another thread adds to the progress.
    pub fn adder(&self) -> impl Fn(u64) + Send + Sync + use<> {
        let bar = self.bar.clone();
        move |count| bar.inc(count)
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
