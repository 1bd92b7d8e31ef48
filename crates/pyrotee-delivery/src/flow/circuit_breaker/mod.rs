//! Circuit breaker: stops uploads while they fail, and probes until one succeeds.
//!
//! A failure says something about the target only if another record fails as well. So the breaker counts the
//! failures of *untried* records, each of which is another record, and probes with an untried record if there
//! is one. A record that has failed before probes only if there is no untried one, at longer delays.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

#[cfg(test)]
mod tests;

/// Delay before the first probes after records' failures opened the breaker: the records may be to blame.
const VERIFY_DELAY: Duration = Duration::from_secs(1);

/// Untried records that must fail as probes before the failure counts as the target's: then the long delays begin.
const VERIFY_PROBES: u32 = 2;

/// The same two after push-back without a named pause. Two records open the breaker then instead of five, so more
/// probes verify that, at shorter delays.
const VERIFY_PUSH_BACK_DELAY: Duration = Duration::from_millis(200);
const VERIFY_PUSH_BACK_PROBES: u32 = 4;

/// Passes all uploads while closed. While open it admits one probe at a time, after delays that grow with each
/// failed probe; a successful probe closes it.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    /// Consecutive failures of untried records that open it.
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
    /// With an untried record.
    untried: u32,
    /// With a record that has failed before.
    failed: u32,
    /// The failures are the target's: nothing answered, it asked for a pause, or enough probes failed.
    is_outage: bool,
}

/// When a breaker admits uploads of a kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// All.
    All,
    /// One: a probe is due.
    Probe,
    /// None before this time.
    BlockedUntil(Instant),
    /// None until the probe in flight has ended.
    ProbeInFlight,
}

/// How much one failure says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The record may be the cause.
    Weak,
    /// Every record would fail: nothing answered.
    Conclusive,
    /// The target asks for less, for this long if it names a time.
    PushBack(Option<Duration>),
}

/// What a success did to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It was closed, or the upload was not its probe.
    None,
    /// It closed: the failures that opened it were the records' own.
    AfterVerification,
    /// It closed after an outage of the target.
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

    /// Whether uploads are blocked because of the target, and not only until it is known whose fault the
    /// failures are.
    pub(super) fn is_outage(&self) -> bool {
        match self.state {
            CircuitState::Closed { .. } => false,
            CircuitState::Open { probes, .. } | CircuitState::Probing { probes } => {
                probes.is_outage
            }
        }
    }

    /// When an upload may start: of an untried record, or of one that `has_failed`.
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

    /// The probe starts.
    pub(super) fn start_probe(&mut self) {
        if let CircuitState::Open { probes, .. } = self.state {
            // Open -> Probing
            self.state = CircuitState::Probing { probes };
        }
    }

    /// An upload succeeded. In an outage only the success of the probe counts: others started before it. Until
    /// then every success counts: failures are often faster, so that a row of them says little of the
    /// uploads beside them.
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

    /// The upload of a record failed that was untried, or that `has_failed` before. `backoff` gives the long
    /// delays. Returns whether the breaker opened, or opened again.
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
            // The long delays begin with the shortest one, however many probes it took to verify the outage.
            probes = FailedProbes::default();
            probes.is_outage = true;
        }
        let row = probes.untried.saturating_add(probes.failed);
        let long = pause.map_or_else(|| backoff.delay(row.max(1)), Backoff::retry_after);
        let (untried_after, failed_after) = match probes.is_outage {
            true => (long, long),
            // A record that has failed proves nothing, so it does not delay the probe of an untried one.
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

    /// The probe ended without a result: the next one may start at once.
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
