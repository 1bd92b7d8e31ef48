//! How far a long command is: a bar on a terminal, else a line from time to time.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

use crate::terminal::Bar;

/// Time between two lines.
const LINES: Duration = Duration::from_secs(5);

/// Tells of progress on stderr: what is printed on stdout is for other programs.
#[derive(Debug)]
pub(super) struct Progress {
    what: &'static str,
    done: u64,
    total: u64,
    bar: Option<Bar>,
    told: Instant,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let bar = io::stderr()
            .is_terminal()
            .then(|| Bar::letters(what, total));
        Self {
            what,
            done: 0,
            total,
            bar,
            told: Instant::now(),
        }
    }

    /// Some more are done.
    pub(super) fn add(&mut self, letters: u64) {
        self.done += letters;
        match &self.bar {
            Some(bar) => bar.add(letters),
            None if self.told.elapsed() >= LINES && self.done < self.total => {
                let Self {
                    what, done, total, ..
                } = self;
                self.told = Instant::now();
                // Nobody may be there to read it.
                drop(writeln!(io::stderr(), "{what}: {done} of {total}"));
            }
            None => {}
        }
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| drop(writeln!(io::stderr(), "{line}"))),
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }
}
