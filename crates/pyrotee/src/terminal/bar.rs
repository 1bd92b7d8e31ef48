//! How far a long command is, on a terminal. Where there is none, nothing is written.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use pyrotee_spool::inspect::OnRead;

const BYTES: &str =
    "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
const PROFILES: &str = "{msg} {wide_bar} {human_pos}/{human_len} profiles, {per_sec}, {eta} left";
const LETTERS: &str = "{msg} {wide_bar} {human_pos}/{human_len} letters, {per_sec}, {eta} left";

/// A bar that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Counts bytes.
    pub(crate) fn bytes(what: &'static str, total: u64) -> Self {
        Self::new(what, total, BYTES)
    }

    /// Counts profiles.
    pub(crate) fn profiles(what: &'static str, total: u64) -> Self {
        Self::new(what, total, PROFILES)
    }

    /// Counts dead letters.
    pub(crate) fn letters(what: &'static str, total: u64) -> Self {
        Self::new(what, total, LETTERS)
    }

    fn new(what: &'static str, total: u64, style: &str) -> Self {
        // On stderr: what is printed on stdout is for other programs.
        let bar = ProgressBar::new(total).with_message(what);
        let style = ProgressStyle::with_template(style);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    pub(crate) fn set(&self, count: u64) {
        self.0.set_position(count);
    }

    /// Writes something else meanwhile.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        self.0.suspend(write);
    }

    /// For whoever is told of bytes from elsewhere.
    pub(crate) fn on_read(&self) -> OnRead {
        let bar = self.0.clone();
        Arc::new(move |bytes| bar.inc(bytes))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
