//! Circuit breaker of one target, or of one surface of a target.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// A circuit breaker: closed, it lets all uploads pass. Enough failures open it. While it is open, one probe at
/// a time passes, after delays that grow from failure to failure; a probe that succeeds closes it.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    backoff: Backoff,
    /// Consecutive failures with weak evidence that open it; other evidence opens it at once.
    failure_threshold: u32,
    state: CircuitState,
}

#[derive(Debug, Clone, Copy)]
enum CircuitState {
    Closed {
        failures: u32,
    },
    /// No upload passes before `until`; then a probe is due.
    Open {
        until: Instant,
        failures: u32,
    },
    /// Half-open: a probe is in flight, or holds its place for a second attempt at `until`.
    Probing {
        until: Option<Instant>,
        failures: u32,
    },
}

/// Which uploads a circuit breaker lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    All,
    /// One upload: a probe is due.
    Probe,
    /// None before this time.
    BlockedUntil(Instant),
    /// None until the probe in flight has ended.
    ProbeInFlight,
}

/// How much one failure says about the target or the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The cause may be this one record or connection.
    Weak,
    /// Every other upload would fail as well.
    Conclusive,
    /// The target asked for a pause, of this length if its response has a `Retry-After`.
    RetryAfter(Option<Duration>),
}

impl CircuitBreaker {
    pub(super) fn new(backoff: Backoff, failure_threshold: u32) -> Self {
        Self {
            backoff,
            failure_threshold,
            state: CircuitState::Closed { failures: 0 },
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, CircuitState::Closed { .. })
    }

    pub(super) fn admission(&self, now: Instant) -> Admission {
        match self.state {
            CircuitState::Closed { .. } => Admission::All,
            CircuitState::Open { until, .. } if until <= now => Admission::Probe,
            CircuitState::Open { until, .. } => Admission::BlockedUntil(until),
            CircuitState::Probing { .. } => Admission::ProbeInFlight,
        }
    }

    /// Earliest next attempt; `None` if no upload is blocked, or a probe is in flight.
    pub(super) fn blocked_until(&self) -> Option<Instant> {
        match self.state {
            CircuitState::Closed { .. } => None,
            CircuitState::Open { until, .. } => Some(until),
            CircuitState::Probing { until, .. } => until,
        }
    }

    /// A probe starts.
    pub(super) fn start_probe(&mut self) {
        if let CircuitState::Open { failures, .. } | CircuitState::Probing { failures, .. } =
            self.state
        {
            // Open | Probing -> Probing
            self.state = CircuitState::Probing {
                until: None,
                failures,
            };
        }
    }

    /// An upload succeeded; whether that closed the circuit breaker. While it is open only the probe's success
    /// counts: other uploads started before it opened.
    pub(super) fn succeeded(&mut self, by_probe: bool) -> bool {
        let closed = by_probe && !self.is_closed();
        if closed || self.is_closed() {
            // Closed | Probing -> Closed
            self.state = CircuitState::Closed { failures: 0 };
        }
        closed
    }

    /// An upload failed; whether that opened the circuit breaker, or opened it again.
    pub(super) fn failed(&mut self, evidence: Evidence, by_probe: bool, now: Instant) -> bool {
        let failures = match self.state {
            CircuitState::Closed { failures } => failures,
            CircuitState::Probing { failures, .. } if by_probe => failures,
            // Uploads that started before the circuit breaker opened.
            CircuitState::Open { .. } | CircuitState::Probing { .. } => return false,
        };
        let failures = failures.saturating_add(1);
        if evidence == Evidence::Weak && !by_probe && failures < self.failure_threshold {
            self.state = CircuitState::Closed { failures };
            return false;
        }
        // The delay grows with the failures of probes: the failures below the threshold do not lengthen it.
        let failures = if by_probe { failures } else { 1 };
        let delay = match evidence {
            Evidence::RetryAfter(Some(retry_after)) => Backoff::retry_after(retry_after),
            Evidence::RetryAfter(None) | Evidence::Weak | Evidence::Conclusive => {
                self.backoff.delay(failures)
            }
        };
        // Closed | Probing -> Open
        self.state = CircuitState::Open {
            until: now + delay,
            failures,
        };
        true
    }

    /// Keeps the place of a failed probe for its second attempt, so that no other probe starts. Returns the
    /// earliest time of that attempt; `None` if the circuit breaker is not open.
    pub(super) fn hold_probe(&mut self) -> Option<Instant> {
        let CircuitState::Open { until, failures } = self.state else {
            return None;
        };
        // Open -> Probing
        self.state = CircuitState::Probing {
            until: Some(until),
            failures,
        };
        Some(until)
    }

    /// The probe ended without a result: another may start at once.
    pub(super) fn withdraw_probe(&mut self, now: Instant) {
        if let CircuitState::Probing { failures, .. } = self.state {
            // Probing -> Open
            self.state = CircuitState::Open {
                until: now,
                failures,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE_THRESHOLD: u32 = 3;

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(Backoff::FAILING, FAILURE_THRESHOLD)
    }

    #[tokio::test(start_paused = true)]
    async fn weak_evidence_adds_up_and_a_success_clears_it() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..5 {
            assert!(!breaker.failed(Evidence::Weak, false, now));
            assert!(!breaker.failed(Evidence::Weak, false, now));
            assert!(!breaker.succeeded(false), "it was closed already");
        }
        for opens in [false, false, true, false, false] {
            assert_eq!(breaker.failed(Evidence::Weak, false, now), opens);
        }
        let until = breaker.blocked_until().expect("it is open");
        assert_eq!(breaker.admission(now), Admission::BlockedUntil(until));
        assert!(
            until <= now + Duration::from_secs(1),
            "late failures add nothing"
        );
        assert_eq!(breaker.admission(until), Admission::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_its_word_alone_counts() {
        let mut now = Instant::now();
        let mut breaker = breaker();
        assert!(breaker.failed(Evidence::Conclusive, false, now));
        now = breaker.blocked_until().expect("it is open");
        breaker.start_probe();
        assert_eq!(breaker.admission(now), Admission::ProbeInFlight);
        assert!(!breaker.succeeded(false));
        assert!(!breaker.failed(Evidence::Conclusive, false, now));
        assert_eq!(breaker.admission(now), Admission::ProbeInFlight);
        assert!(breaker.failed(Evidence::Weak, true, now));
        let until = breaker.hold_probe().expect("it is open");
        assert!(
            until >= now + Duration::from_millis(666),
            "the second delay"
        );
        assert_eq!(
            breaker.admission(until),
            Admission::ProbeInFlight,
            "it is taken"
        );
        assert_eq!(breaker.blocked_until(), Some(until));
        breaker.start_probe();
        assert!(breaker.succeeded(true));
        assert_eq!(breaker.admission(now), Admission::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_as_long_as_was_asked() {
        let now = Instant::now();
        let mut breaker = breaker();
        let asked = Evidence::RetryAfter(Some(Duration::from_secs(20)));
        assert!(breaker.failed(asked, false, now));
        let until = breaker.blocked_until().expect("it is open");
        assert!(until >= now + Duration::from_secs(20) && until <= now + Duration::from_secs(22));
        breaker.start_probe();
        breaker.withdraw_probe(now);
        assert_eq!(breaker.admission(now), Admission::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn from_the_second_minute_on_there_are_at_most_six_probes_a_minute() {
        let start = Instant::now();
        for _ in 0..50 {
            let mut breaker = breaker();
            breaker.failed(Evidence::Conclusive, false, start);
            let mut probes = Vec::new();
            while let Some(at) = breaker
                .blocked_until()
                .filter(|at| *at < start + Duration::from_secs(900))
            {
                probes.push(at);
                breaker.start_probe();
                breaker.failed(Evidence::Conclusive, true, at);
            }
            let late = probes
                .iter()
                .filter(|at| **at >= start + Duration::from_secs(60));
            for first in late {
                let minute = *first..*first + Duration::from_secs(60);
                let within = probes.iter().filter(|at| minute.contains(at)).count();
                assert!(within <= 6, "{within}");
            }
        }
    }
}
