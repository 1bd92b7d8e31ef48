//! Counts and reports of a command that changes many dead letters.

use anyhow::ensure;
use pyrotee_admin::json::dead_letters::BatchResult;
use pyrotee_terminal::{ProgressDisplay, Unit, print, visible};

/// Counts the letters that are done, and reports each failure as it occurs.
#[derive(Debug)]
pub(super) struct BatchReport {
    progress: ProgressDisplay,
    total: usize,
    done: usize,
    failed: usize,
}

impl BatchReport {
    pub(super) fn new(verb: &'static str, total: usize) -> Self {
        Self {
            progress: ProgressDisplay::new(verb, Unit::Letters, total as u64).with_lines(),
            total,
            done: 0,
            failed: 0,
        }
    }

    /// Adds the result of one request; returns the letters that are left to try.
    pub(super) fn add(&mut self, result: BatchResult) -> Vec<String> {
        for failure in &result.failed {
            let (id, error) = (visible(&failure.id), visible(&failure.error));
            self.progress.print_line(&format!("{id}: {error}"));
        }
        self.done += result.done.len();
        self.failed += result.failed.len();
        let ended = result.done.len() + result.failed.len();
        self.progress.add(ended as u64);
        result.left
    }

    /// Reports the counts of a command that ends with an error, with `left` letters untouched.
    pub(super) fn stopped(&self, left: usize) {
        let Self { done, failed, .. } = self;
        let line = format!("{done} done, {failed} failed, {left} left as they were");
        self.progress.print_line(&line);
    }

    /// Prints the counts.
    ///
    /// # Errors
    /// Some letters failed.
    pub(super) fn end(self, participle: &str) -> anyhow::Result<()> {
        let Self {
            progress,
            total,
            done,
            failed,
        } = self;
        drop(progress);
        print(&format!("{done} of {total} {participle}\n"))?;
        ensure!(
            failed == 0,
            "{failed} could not be {participle}, as said above"
        );
        Ok(())
    }
}
