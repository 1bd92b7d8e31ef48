//! Whether anybody may try at all.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// Lets everybody through while things work. Once they do not, one probe at a time tries, after delays
/// that grow from failure to failure; its success lets all through again.
#[derive(Debug)]
pub(super) struct Circuit {
    backoff: Backoff,
    /// Failures in a row that open it, unless one of them is enough by its kind.
    tolerance: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nobody tries before `until`.
    Open {
        until: Instant,
        failures: u32,
    },
    /// A probe is out; or waits for its second try, which is at `until`.
    Probing {
        until: Option<Instant>,
        failures: u32,
    },
}

/// Who may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Everybody,
    /// One: a probe is due.
    Probe,
    /// Nobody, until then.
    NobodyUntil(Instant),
    /// Nobody, until the probe that is out has come back.
    Nobody,
}

/// What a failure says of the one that it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gravity {
    /// It may have been this one upload.
    Doubt,
    /// Nobody would fare better.
    Certain,
    /// It asked for a pause, of this length if it named one.
    Asked(Option<Duration>),
}

impl Circuit {
    pub(super) fn new(backoff: Backoff, tolerance: u32) -> Self {
        Self {
            backoff,
            tolerance,
            state: State::Closed { failures: 0 },
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    pub(super) fn admits(&self, now: Instant) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Everybody,
            State::Open { until, .. } if until <= now => Admission::Probe,
            State::Open { until, .. } => Admission::NobodyUntil(until),
            State::Probing { .. } => Admission::Nobody,
        }
    }

    /// When somebody tries next; `None` if nobody has to wait, or a probe is out.
    pub(super) fn next_try(&self) -> Option<Instant> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until),
            State::Probing { until, .. } => until,
        }
    }

    /// The probe sets out.
    pub(super) fn probe(&mut self) {
        if let State::Open { failures, .. } | State::Probing { failures, .. } = self.state {
            // Open | Probing -> Probing
            self.state = State::Probing {
                until: None,
                failures,
            };
        }
    }

    /// A try succeeded; whether that closed the circuit. While it is open only the probe's word
    /// counts: others set out before it opened.
    pub(super) fn succeeded(&mut self, by_probe: bool) -> bool {
        let closed = by_probe && !self.is_closed();
        if closed || self.is_closed() {
            // Closed | Probing -> Closed
            self.state = State::Closed { failures: 0 };
        }
        closed
    }

    /// A try failed; whether that opened the circuit, or opened it again.
    pub(super) fn failed(&mut self, gravity: Gravity, by_probe: bool, now: Instant) -> bool {
        let failures = match self.state {
            State::Closed { failures } => failures,
            State::Probing { failures, .. } if by_probe => failures,
            // Others that set out before the circuit opened.
            State::Open { .. } | State::Probing { .. } => return false,
        };
        let failures = failures.saturating_add(1);
        if gravity == Gravity::Doubt && !by_probe && failures < self.tolerance {
            self.state = State::Closed { failures };
            return false;
        }
        // The first delay after failures that were tolerated is as short as after one.
        let row = if by_probe { failures } else { 1 };
        let delay = match gravity {
            Gravity::Asked(Some(retry_after)) => Backoff::asked(retry_after),
            Gravity::Asked(None) | Gravity::Doubt | Gravity::Certain => self.backoff.delay(row),
        };
        // Closed | Probing -> Open
        self.state = State::Open {
            until: now + delay,
            failures: row,
        };
        true
    }

    /// The probe that opened the circuit again will try once more, when that is allowed: until then its
    /// place is taken. When that is.
    pub(super) fn hold(&mut self) -> Option<Instant> {
        let State::Open { until, failures } = self.state else {
            return None;
        };
        // Open -> Probing
        self.state = State::Probing {
            until: Some(until),
            failures,
        };
        Some(until)
    }

    /// The probe came back without having learnt anything: another may set out at once.
    pub(super) fn withdraw(&mut self, now: Instant) {
        if let State::Probing { failures, .. } = self.state {
            // Probing -> Open
            self.state = State::Open {
                until: now,
                failures,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: u32 = 3;

    fn circuit() -> Circuit {
        Circuit::new(Backoff::FAILING, TOLERANCE)
    }

    #[tokio::test(start_paused = true)]
    async fn doubts_add_up_and_a_success_clears_them() {
        let now = Instant::now();
        let mut circuit = circuit();
        for _ in 0..5 {
            assert!(!circuit.failed(Gravity::Doubt, false, now));
            assert!(!circuit.failed(Gravity::Doubt, false, now));
            assert!(!circuit.succeeded(false), "it was closed already");
        }
        for opens in [false, false, true, false, false] {
            assert_eq!(circuit.failed(Gravity::Doubt, false, now), opens);
        }
        let until = circuit.next_try().expect("it is open");
        assert_eq!(circuit.admits(now), Admission::NobodyUntil(until));
        assert!(
            until <= now + Duration::from_secs(1),
            "late failures add nothing"
        );
        assert_eq!(circuit.admits(until), Admission::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_its_word_alone_counts() {
        let mut now = Instant::now();
        let mut circuit = circuit();
        assert!(circuit.failed(Gravity::Certain, false, now));
        now = circuit.next_try().expect("it is open");
        circuit.probe();
        assert_eq!(circuit.admits(now), Admission::Nobody);
        assert!(!circuit.succeeded(false));
        assert!(!circuit.failed(Gravity::Certain, false, now));
        assert_eq!(circuit.admits(now), Admission::Nobody);
        assert!(circuit.failed(Gravity::Doubt, true, now));
        let until = circuit.hold().expect("it is open");
        assert!(
            until >= now + Duration::from_millis(666),
            "the second delay"
        );
        assert_eq!(circuit.admits(until), Admission::Nobody, "it is taken");
        assert_eq!(circuit.next_try(), Some(until));
        circuit.probe();
        assert!(circuit.succeeded(true));
        assert_eq!(circuit.admits(now), Admission::Everybody);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_lasts_as_long_as_was_asked() {
        let now = Instant::now();
        let mut circuit = circuit();
        let asked = Gravity::Asked(Some(Duration::from_secs(20)));
        assert!(circuit.failed(asked, false, now));
        let until = circuit.next_try().expect("it is open");
        assert!(until >= now + Duration::from_secs(20) && until <= now + Duration::from_secs(22));
        circuit.probe();
        circuit.withdraw(now);
        assert_eq!(circuit.admits(now), Admission::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn from_the_second_minute_on_there_are_at_most_six_probes_a_minute() {
        let start = Instant::now();
        for _ in 0..50 {
            let mut circuit = circuit();
            circuit.failed(Gravity::Certain, false, start);
            let mut probes = Vec::new();
            while let Some(at) = circuit
                .next_try()
                .filter(|at| *at < start + Duration::from_secs(900))
            {
                probes.push(at);
                circuit.probe();
                circuit.failed(Gravity::Certain, true, at);
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
