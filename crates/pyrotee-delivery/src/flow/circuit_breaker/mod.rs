//! Circuit breaker: stops uploads while they fail, and probes until one succeeds.
//!
//! A failure says something about the target only if another record fails as well. So the breaker counts the
//! failures of *untried* records, each of which is a different record, and its probe is an untried record if there
//! is one. A record that has failed before is a probe only if there is no untried record, at longer delays.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

#[cfg(test)]
mod tests;

/// Delay before each probe while it is not known whether the records or the target caused the failures.
const VERIFY_DELAY: Duration = Duration::from_secs(1);

/// Failed probes with untried records after which the failures count as the target's, and the long delays begin.
const VERIFY_PROBES: u32 = 2;

/// [`VERIFY_DELAY`] after push-back that names no pause. Two records open the breaker then instead of five, so more
/// probes verify the push-back, at shorter delays.
const VERIFY_PUSH_BACK_DELAY: Duration = Duration::from_millis(200);
/// [`VERIFY_PROBES`] after push-back that names no pause.
const VERIFY_PUSH_BACK_PROBES: u32 = 4;

/// Admits all uploads while closed. While open, the breaker admits one probe at a time, after delays that grow with
/// each failed probe; a successful probe closes the breaker.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    /// Consecutive failures of untried records that open the breaker.
    threshold: u32,
    state: CircuitState,
}

#[derive(Debug, Clone, Copy)]
enum CircuitState {
    Closed {
        /// Failures of untried records since the last success.
        failures: u32,
    },
    Open {
        /// Earliest probe with an untried record.
        untried_at: Instant,
        /// Earliest probe with a record that has failed before.
        failed_at: Instant,
        probes: FailedProbes,
    },
    Probing {
        probes: FailedProbes,
    },
}

/// The probes that have failed since the breaker opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct FailedProbes {
    /// Probes with an untried record.
    untried: u32,
    /// Probes with a record that has failed before.
    failed: u32,
    /// The failures are the target's: no connection could be opened, the target named a pause, or enough probes failed.
    is_outage: bool,
}

/// Which uploads a breaker admits of one kind of record: untried, or failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// All uploads.
    All,
    /// One upload: a probe is due.
    Probe,
    /// No upload before this time.
    BlockedUntil(Instant),
    /// No upload until the probe in flight has ended.
    ProbeInFlight,
}

/// How much one failure says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The record may be the cause.
    Weak,
    /// Every record would fail: no connection could be opened.
    Conclusive,
    /// The target asks for less, for this long if the response names a time.
    PushBack(Option<Duration>),
}

/// How a success changed a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The breaker stayed as it was: it was closed, or the upload was not its probe.
    None,
    /// The breaker closed: the records caused the failures that had opened it.
    AfterVerification,
    /// The breaker closed after an outage of the target.
    AfterOutage,
}

impl CircuitBreaker {
    pub(super) fn new(threshold: u32) -> Self {
        Self {
            threshold,
            state: CircuitState::Closed { failures: 0 },
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, CircuitState::Closed { .. })
    }

    /// Whether the target is known to cause the failures. `false` while closed, and while it is being verified whether
    /// the records cause them.
    pub(super) fn is_outage(&self) -> bool {
        match self.state {
            CircuitState::Closed { .. } => false,
            CircuitState::Open { probes, .. } | CircuitState::Probing { probes } => {
                probes.is_outage
            }
        }
    }

    /// Which uploads may start: of untried records, or of records that have failed if `has_failed`.
    pub(super) fn admission(&self, has_failed: bool, now: Instant) -> Admission {
        match self.state {
            CircuitState::Closed { .. } => Admission::All,
            CircuitState::Probing { .. } => Admission::ProbeInFlight,
            CircuitState::Open {
                untried_at,
                failed_at,
                ..
            } => {
                let at = if has_failed { failed_at } else { untried_at };
                match at <= now {
                    true => Admission::Probe,
                    false => Admission::BlockedUntil(at),
                }
            }
        }
    }

    /// Earliest next probe; `None` while closed, or while a probe is in flight.
    pub(super) fn blocked_until(&self) -> Option<Instant> {
        match self.state {
            CircuitState::Open {
                untried_at,
                failed_at,
                ..
            } => Some(untried_at.min(failed_at)),
            CircuitState::Closed { .. } | CircuitState::Probing { .. } => None,
        }
    }

    /// Notes that the probe starts.
    pub(super) fn start_probe(&mut self) {
        if let CircuitState::Open { probes, .. } = self.state {
            // Open -> Probing
            self.state = CircuitState::Probing { probes };
        }
    }

    /// Applies a success. During an outage, only the success of the probe counts: other uploads started before the
    /// outage. Until then, every success counts: a failed upload often ends sooner than a successful one, so a row of
    /// failures says little about the uploads that are still in flight.
    pub(super) fn succeeded(&mut self, is_probe: bool) -> Closing {
        let closing = match self.state {
            CircuitState::Closed { .. } => Closing::None,
            CircuitState::Open { probes, .. } | CircuitState::Probing { probes } => {
                match (probes.is_outage, is_probe) {
                    (true, true) => Closing::AfterOutage,
                    (true, false) => return Closing::None,
                    (false, _) => Closing::AfterVerification,
                }
            }
        };
        // Closed | Open | Probing -> Closed
        self.state = CircuitState::Closed { failures: 0 };
        closing
    }

    /// Applies a failure of an untried record, or of a record that has failed before if `has_failed`. `backoff` gives
    /// the long delays. Returns whether the breaker opened, or opened again.
    pub(super) fn failed(
        &mut self,
        evidence: Evidence,
        has_failed: bool,
        is_probe: bool,
        backoff: Backoff,
        now: Instant,
    ) -> bool {
        let mut probes = match self.state {
            CircuitState::Closed { failures } => {
                let failures = failures + u32::from(!has_failed);
                if evidence == Evidence::Weak && failures < self.threshold {
                    self.state = CircuitState::Closed { failures };
                    return false;
                }
                FailedProbes::default()
            }
            CircuitState::Probing { mut probes } if is_probe => {
                match has_failed {
                    true => probes.failed = probes.failed.saturating_add(1),
                    false => probes.untried = probes.untried.saturating_add(1),
                }
                probes
            }
            // The upload started before the breaker opened.
            CircuitState::Open { .. } | CircuitState::Probing { .. } => return false,
        };
        let (verify_probes, verify_delay, pause) = match evidence {
            Evidence::Weak => (VERIFY_PROBES, VERIFY_DELAY, None),
            Evidence::Conclusive => (0, VERIFY_DELAY, None),
            Evidence::PushBack(None) => (VERIFY_PUSH_BACK_PROBES, VERIFY_PUSH_BACK_DELAY, None),
            Evidence::PushBack(pause) => (0, VERIFY_PUSH_BACK_DELAY, pause),
        };
        if !probes.is_outage && probes.untried >= verify_probes {
            // The long delays begin with the shortest, however many probes verified the outage.
            probes = FailedProbes::default();
            probes.is_outage = true;
        }
        let row = probes.untried.saturating_add(probes.failed);
        let long = pause.map_or_else(|| backoff.delay(row.max(1)), Backoff::retry_after);
        let (untried_after, failed_after) = match probes.is_outage {
            true => (long, long),
            // A probe with a record that has failed proves nothing, so it does not delay the probe with an untried one.
            false => (verify_delay, long.max(verify_delay)),
        };
        // Closed | Probing -> Open
        self.state = CircuitState::Open {
            untried_at: now + untried_after,
            failed_at: now + failed_after,
            probes,
        };
        true
    }

    /// Moves the next probe forward to `at`, if it is due later.
    pub(super) fn probe_by(&mut self, at: Instant) {
        if let CircuitState::Open {
            untried_at,
            failed_at,
            ..
        } = &mut self.state
        {
            *untried_at = at.min(*untried_at);
            *failed_at = at.min(*failed_at);
        }
    }

    /// Ends the probe without a result: the next probe may start at once.
    pub(super) fn withdraw_probe(&mut self, now: Instant) {
        if let CircuitState::Probing { probes } = self.state {
            // Probing -> Open
            self.state = CircuitState::Open {
                untried_at: now,
                failed_at: now,
                probes,
            };
        }
    }
}
