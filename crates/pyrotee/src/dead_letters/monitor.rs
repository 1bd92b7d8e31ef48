//! The dead letters of a running relay.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use pyrotee_delivery::DeadLetterSink;

use super::store::{Size, Store};
use super::writer::{Counters, Writer};
use crate::config;

/// Dead letters that are open: what can be seen of them, who writes them, and how they get there.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) monitor: Monitor,
    pub(crate) writer: Writer,
    pub(crate) sink: DeadLetterSink,
}

/// What can be seen.
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    pub(super) store: Arc<Store>,
    pub(super) counters: Arc<Counters>,
}

/// What there is, and what became of letters since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stats {
    pub(crate) size: Size,
    pub(crate) kept: u64,
    pub(crate) evicted: u64,
    pub(crate) replayed: u64,
    pub(crate) lost_full: u64,
    pub(crate) lost_disk_error: u64,
    pub(crate) lost_too_large: u64,
}

impl Kept {
    /// Opens the directory. What waits to be written may hold `most_waiting` bytes of memory.
    pub(crate) fn open(config: &config::DeadLetters, most_waiting: u64) -> anyhow::Result<Self> {
        let store = Arc::new(Store::open(&config.dir, config.max_bytes)?);
        let counters = Arc::<Counters>::default();
        let started = Writer::start(Arc::clone(&store), Arc::clone(&counters), most_waiting);
        let (writer, sink) = started.context("start their thread")?;
        let size = store.size();
        tracing::info!(
            dir = %config.dir.display(),
            letters = size.letters,
            bytes = size.bytes,
            "dead letters are open"
        );
        Ok(Self {
            monitor: Monitor { store, counters },
            writer,
            sink,
        })
    }
}

impl Monitor {
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            size: self.store.size(),
            kept: counters.kept.load(Relaxed),
            evicted: self.store.evicted(),
            replayed: counters.replayed.load(Relaxed),
            lost_full: counters.lost_full.load(Relaxed),
            lost_disk_error: counters.lost_disk_error.load(Relaxed),
            lost_too_large: counters.lost_too_large.load(Relaxed),
        }
    }
}
