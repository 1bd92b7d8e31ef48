//! What happens to a record after an upload: the rules of how often a record is retried.

use std::time::Duration;

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Reason, RetryHistory};

use crate::OnAmbiguous;
use crate::flow::Backoff;
use crate::outcome::Outcome;

/// A record is rejected after this many responses that no rule matches.
const MAX_UNKNOWN_RESPONSES: u32 = 3;

/// A record is rejected after this many failures between which the target acknowledged other records of its
/// surface: it is a poison record.
const MAX_FAILURES_WHILE_HEALTHY: u32 = 8;

/// [`MAX_FAILURES_WHILE_HEALTHY`] after a response that refuses the record or its surface and does not say that the
/// fault may pass.
const MAX_REFUSALS_WHILE_HEALTHY: u32 = 3;

/// A record is dropped after this many ambiguous uploads: the target may have stored the record each time.
const MAX_AMBIGUOUS: u32 = 5;

/// What happens to a record after an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    Drop(Reason),
    /// Retry `delay` after the target accepts uploads again.
    Retry {
        delay: Duration,
        history: RetryHistory,
    },
}

impl Settlement {
    /// The settlement of a record with this outcome. `acked`: records of its surface that the target acknowledged.
    pub(super) fn of(
        outcome: &Outcome,
        history: RetryHistory,
        acked: u64,
        on_ambiguous: OnAmbiguous,
    ) -> Self {
        match outcome.meaning {
            Ok(Meaning::Taken) => Self::Ack,
            Ok(Meaning::Rejected) => Self::Drop(Reason::Rejected),
            Err(reason) => Self::Drop(reason),
            Ok(Meaning::Ambiguous) if on_ambiguous == OnAmbiguous::Drop => {
                Self::Drop(Reason::Ambiguous)
            }
            Ok(meaning) => count_failure(outcome, meaning, history, acked),
        }
    }
}

/// Adds one failure to the record's history, and drops the record if its failures show that it is the cause.
fn count_failure(
    outcome: &Outcome,
    meaning: Meaning,
    history: RetryHistory,
    acked: u64,
) -> Settlement {
    let while_healthy = history.failures == 0 || acked > history.acked_at_last_failure;
    let history = RetryHistory {
        failures: history.failures.saturating_add(1),
        unknown_failures: history.unknown_failures + u32::from(meaning == Meaning::Unknown),
        ambiguous_failures: history.ambiguous_failures + u32::from(meaning == Meaning::Ambiguous),
        failures_while_healthy: history.failures_while_healthy + u32::from(while_healthy),
        acked_at_last_failure: acked,
        last_status: outcome.status_code(),
        ..history
    };
    let most = match meaning {
        Meaning::Broken => MAX_REFUSALS_WHILE_HEALTHY,
        _ => MAX_FAILURES_WHILE_HEALTHY,
    };
    if history.unknown_failures >= MAX_UNKNOWN_RESPONSES || history.failures_while_healthy >= most {
        return Settlement::Drop(Reason::Rejected);
    }
    if history.ambiguous_failures >= MAX_AMBIGUOUS {
        // The record is the cause if the target accepted other records during most of the record's failures.
        return Settlement::Drop(match history.failures_while_healthy > MAX_AMBIGUOUS / 2 {
            true => Reason::Rejected,
            false => Reason::Ambiguous,
        });
    }
    let backoff = match meaning {
        // A refusal passes less often than a failure, so a refused record is retried later.
        Meaning::Broken => Backoff::FAILING.delay(history.failures.saturating_add(3)),
        _ => Backoff::FAILING.delay(history.failures),
    };
    let pause = outcome.pause().map(Backoff::retry_after);
    Settlement::Retry {
        delay: pause.map_or(backoff, |pause| pause.max(backoff)),
        history,
    }
}
