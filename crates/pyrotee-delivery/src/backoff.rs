//! Who may connect to a target that did not answer the last time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Most that the first failure costs.
const FIRST: Duration = Duration::from_secs(1);

/// Most that any failure costs.
const LONGEST: Duration = Duration::from_secs(30);

/// Least: a target that is down is not connected to in a loop, however lucky the dice.
const LEAST: Duration = Duration::from_millis(100);

/// Lets everybody through while the target can be reached. Once it cannot, one upload at a time
/// tries, after a delay with full jitter that doubles from failure to failure.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Open,
    /// Nobody connects before `until`.
    Waiting { until: Instant, failures: u32 },
    /// One upload is trying.
    Probing { failures: u32 },
}

impl Gate {
    /// Waits until an upload may start. One caller at a time.
    pub(crate) async fn pass(&self) {
        loop {
            let state = *self.lock();
            match state {
                State::Open => return,
                State::Waiting { until, failures } => {
                    sleep_until(until).await;
                    // Waiting -> Probing
                    *self.lock() = State::Probing { failures };
                    return;
                }
                State::Probing { .. } => self.changed.notified().await,
            }
        }
    }

    /// An upload reached the target.
    pub(crate) fn reached(&self) {
        // any -> Open
        *self.lock() = State::Open;
        self.changed.notify_one();
    }

    /// An upload could not connect.
    pub(crate) fn unreachable(&self) {
        let mut state = self.lock();
        let failures = match *state {
            State::Open => 1,
            State::Probing { failures } => failures.saturating_add(1),
            // Others that set out before the first of them failed.
            State::Waiting { .. } => return,
        };
        // Open | Probing -> Waiting
        *state = State::Waiting {
            until: Instant::now() + delay(failures),
            failures,
        };
        drop(state);
        self.changed.notify_one();
    }

    /// The upload that was let through did not try to connect: another may at once.
    pub(crate) fn untried(&self) {
        let mut state = self.lock();
        if let State::Probing { failures } = *state {
            // Probing -> Waiting
            *state = State::Waiting {
                until: Instant::now(),
                failures,
            };
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delay(failures: u32) -> Duration {
    let most = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST);
    most.mul_f64(fastrand::f64()).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_open_gate_costs_no_time() {
        let gate = Gate::default();
        let start = Instant::now();
        gate.pass().await;
        gate.reached();
        gate.pass().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_target_is_tried_less_and_less() {
        let gate = Gate::default();
        let start = Instant::now();
        gate.unreachable();
        for _ in 0..100 {
            gate.pass().await;
            gate.unreachable();
        }
        // Full jitter: 15 s on the average once the delay has grown to 30 s.
        let took = start.elapsed();
        assert!(
            took > Duration::from_secs(900) && took < Duration::from_secs(2_400),
            "{took:?}"
        );
        assert!((1..200).all(|failures| delay(failures) <= LONGEST));
        assert!((1..200).all(|failures| delay(failures) >= LEAST));
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_tries_and_its_success_opens_the_gate() {
        let gate = Gate::default();
        gate.unreachable();
        gate.unreachable();
        gate.pass().await;
        let mut second = tokio_test::task::spawn(gate.pass());
        assert!(second.poll().is_pending());
        gate.reached();
        assert!(second.is_woken());
        assert!(second.poll().is_ready());
    }
}
