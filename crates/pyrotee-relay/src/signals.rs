//! The signals that stop the process, and those that it ignores.

use std::convert::Infallible;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the process to stop.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

/// Signals that have no meaning here, and would end the process if it did not listen for them.
#[derive(Debug)]
pub(crate) struct IgnoredSignals {
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Starts to listen. From now on these signals do not end the process by themselves.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }
}

impl IgnoredSignals {
    /// Starts to listen. From now on these signals do not end the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    /// Logs each of these signals when it arrives.
    pub(crate) async fn log(mut self) -> Infallible {
        loop {
            let signal = tokio::select! {
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
            };
            tracing::warn!(
                signal,
                "ignored a signal: only SIGHUP, SIGTERM, SIGINT and SIGQUIT have a meaning"
            );
        }
    }
}

/// The signal that asks for a reload. From now on it does not end the process.
pub(crate) fn hangup() -> anyhow::Result<Signal> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("failed to listen for signals")
}
