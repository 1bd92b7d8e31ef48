//! The policy for ingestion requests: whether and how they are teed, and whether they are forwarded.
//!
//! The policy changes while requests are served. A request takes the policy in force once, at its head, and keeps it:
//! its capture holds the [`Recorder`], its body the [`LocalPolicy`].

use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};
use tokio_util::sync::CancellationToken;

use super::recorder::{Recorder, ResponsePolicy};
use super::state::TeeState;
use crate::settings::{Duplicates, LocalWrites, TeeOn, TeeSettings};
use pyrotee_dedup::RetryFilter;

/// Maximum number of bytes of a request's body that are read after an early response, without a tee.
const MAX_REST_BYTES: u64 = 64 * 1024 * 1024;

/// What the proxy does with a request.
#[derive(Debug)]
pub(crate) struct RequestPolicy {
    /// Captures ingestion requests; `None` if nothing is teed.
    pub(super) recorder: Option<Arc<Recorder>>,
    pub(super) local: LocalPolicy,
}

/// What the proxy does with a request besides teeing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalPolicy {
    pub(crate) local_writes: LocalWrites,
    /// Maximum number of bytes of the request's body that are read after an early response.
    pub(crate) max_rest_bytes: u64,
}

/// The policy in force, and the state that outlives policies.
#[derive(Debug)]
pub(crate) struct Policies {
    in_force: ArcSwap<RequestPolicy>,
    tee: Arc<TeeState>,
    /// Once cancelled, the policy does not change any more.
    drain: CancellationToken,
}

/// Changes the policy of a running [`Proxy`](crate::Proxy). Keeps neither the proxy nor the producer alive.
#[derive(Debug, Clone)]
pub struct PolicyHandle(Weak<Policies>);

impl Policies {
    pub(crate) fn new(
        local_writes: LocalWrites,
        settings: Option<&TeeSettings>,
        tee: Arc<TeeState>,
        drain: CancellationToken,
    ) -> Arc<Self> {
        let policy = RequestPolicy::new(local_writes, settings, &tee, None);
        Self::with(policy, tee, drain)
    }

    /// Policies of which `policy` is in force.
    pub(super) fn with(
        policy: RequestPolicy,
        tee: Arc<TeeState>,
        drain: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            in_force: ArcSwap::from_pointee(policy),
            tee,
            drain,
        })
    }

    /// Returns a handle that changes the policy.
    pub(crate) fn handle(self: &Arc<Self>) -> PolicyHandle {
        PolicyHandle(Arc::downgrade(self))
    }

    /// Returns the policy in force.
    pub(super) fn load(&self) -> Guard<Arc<RequestPolicy>> {
        self.in_force.load()
    }

    /// Gives up recordings when they become too slow. Never returns.
    pub(crate) async fn give_up_slow_recordings(&self) {
        self.tee.give_up_slow_recordings().await;
    }

    fn set(&self, local_writes: LocalWrites, settings: Option<&TeeSettings>) {
        if self.drain.is_cancelled() {
            return;
        }
        self.in_force.rcu(|before| {
            RequestPolicy::new(local_writes, settings, &self.tee, Some(before.as_ref()))
        });
    }
}

impl PolicyHandle {
    /// Changes the policy for the requests whose heads arrive from now on; all others keep theirs. `None`: requests
    /// are forwarded and not teed. Has no effect after the drain has begun.
    ///
    /// Recordings, metrics and lookalikes go on. So do the failed requests that are remembered
    /// ([`Duplicates::Drop`]), unless the old or the new policy remembers none.
    pub fn set(&self, local_writes: LocalWrites, tee: Option<&TeeSettings>) {
        if let Some(policies) = self.0.upgrade() {
            policies.set(local_writes, tee);
        }
    }
}

impl RequestPolicy {
    /// The policy of these settings, which replaces the policy `before`.
    fn new(
        local_writes: LocalWrites,
        settings: Option<&TeeSettings>,
        tee: &Arc<TeeState>,
        before: Option<&Self>,
    ) -> Self {
        let Some(settings) = settings else {
            return Self {
                recorder: None,
                local: LocalPolicy {
                    local_writes: LocalWrites::Forward,
                    max_rest_bytes: MAX_REST_BYTES,
                },
            };
        };
        let filter = || {
            let before = before.and_then(Self::retry_filter).map(Arc::clone);
            before.unwrap_or_else(|| RetryFilter::new(tee.budget.limit()))
        };
        let recorder = Recorder {
            max_body: settings.max_body,
            response_policy: response_policy(local_writes, settings, filter),
            tee: Arc::clone(tee),
        };
        Self {
            recorder: Some(Arc::new(recorder)),
            local: LocalPolicy {
                local_writes,
                max_rest_bytes: settings.max_body,
            },
        }
    }

    /// The failed requests that this policy remembers; `None` if it remembers none.
    fn retry_filter(&self) -> Option<&Arc<RetryFilter>> {
        match &self.recorder.as_ref()?.response_policy {
            ResponsePolicy::FilterRetries(filter) => Some(filter),
            _ => None,
        }
    }
}

/// Returns what the tee does with the upstream's response under these settings.
fn response_policy(
    local_writes: LocalWrites,
    settings: &TeeSettings,
    filter: impl FnOnce() -> Arc<RetryFilter>,
) -> ResponsePolicy {
    match (local_writes, settings.on, settings.duplicates) {
        // Without local writes no upstream gets the profile: the response depends on the queues.
        (LocalWrites::Discard, ..) => match &settings.check {
            Some(check) => ResponsePolicy::CheckFirst(Arc::clone(check)),
            None => ResponsePolicy::Ignore,
        },
        (_, TeeOn::Always, Duplicates::Tee) => ResponsePolicy::Ignore,
        // A failed request was not teed, so its retry must be teed.
        (_, TeeOn::UpstreamSuccess, _) => ResponsePolicy::OfferOnSuccess,
        (_, TeeOn::Always, Duplicates::Drop) => ResponsePolicy::FilterRetries(filter()),
    }
}
