//! Tests the state that outlives a policy, and the handle that changes policies.

use std::time::Duration;

use tokio::time::sleep;

use super::retries::{Watched, watched};
use super::*;
use crate::{Duplicates, TeeOn, TeeSettings};

const MEMORY: u64 = 16 << 20;

fn tee(max_body: u64, on: TeeOn, duplicates: Duplicates) -> TeeSettings {
    TeeSettings {
        max_body,
        on,
        duplicates,
        check: None,
    }
}

/// Sends a profile to an upstream that fails.
fn fail(watched: &Watched) {
    watched.begin("app", b"profile", true).read().fail().read();
}

#[tokio::test(start_paused = true)]
async fn failed_requests_are_remembered_until_a_policy_remembers_none() {
    let dropping = |max_body| tee(max_body, TeeOn::Always, Duplicates::Drop);
    let between = [
        (LocalWrites::Forward, None),
        (LocalWrites::Discard, Some(dropping(MAX_BODY))),
        (
            LocalWrites::Forward,
            Some(tee(MAX_BODY, TeeOn::Always, Duplicates::Tee)),
        ),
        (
            LocalWrites::Forward,
            Some(tee(MAX_BODY, TeeOn::UpstreamSuccess, Duplicates::Drop)),
        ),
    ];
    for (local_writes, settings) in between {
        let watched = watched(MEMORY);
        let handle = watched.bench.policies.handle();
        fail(&watched);
        handle.set(LocalWrites::Forward, Some(&dropping(1_000)));
        fail(&watched);
        assert_eq!(watched.counts(), (1, 1), "only max-body has changed");
        handle.set(local_writes, settings.as_ref());
        handle.set(LocalWrites::Forward, Some(&dropping(1_000)));
        fail(&watched);
        assert_eq!(watched.counts(), (2, 1), "{local_writes:?} {settings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_remembered_as_its_own_policy_says() {
    let dropping = tee(MAX_BODY, TeeOn::Always, Duplicates::Drop);
    let repeating = tee(MAX_BODY, TeeOn::Always, Duplicates::Tee);
    for (first, second, remembered) in [
        (&dropping, &dropping, true),
        (&dropping, &repeating, false),
        (&repeating, &dropping, false),
    ] {
        let watched = watched(MEMORY);
        let handle = watched.bench.policies.handle();
        handle.set(LocalWrites::Forward, Some(first));
        let exchange = watched.begin("app", b"profile", true);
        handle.set(LocalWrites::Forward, Some(second));
        exchange.read().fail().read();
        fail(&watched);
        let repeated = u64::from(remembered);
        assert_eq!(watched.counts(), (2 - repeated, repeated), "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_of_an_earlier_policy_loses_its_recording() {
    let bench = slow::swept(1 << 20);
    let client = slow::SlowClient::new(&bench, 80_000);
    client.send(9_990).await;
    bench.policies.handle().set(LocalWrites::Forward, None);
    assert_eq!(bench.tee.recordings.len(), 1);
    sleep(Duration::from_secs(22)).await;
    assert_eq!(bench.budget.receiving(), 0);
    let lost = bench.ledger.snapshot().dropped(Reason::UploadFailed);
    assert_eq!((lost.profiles, lost.bytes), (1, 9_990));
}

#[test]
fn without_a_tee_requests_are_forwarded() {
    let bench = bench(ResponsePolicy::Ignore, MEMORY);
    bench.policies.handle().set(LocalWrites::Discard, None);
    let policy = bench.policies.load();
    assert!(policy.recorder.is_none());
    assert_eq!(policy.local.local_writes, LocalWrites::Forward);
}

#[test]
fn once_the_drain_has_begun_the_policy_stays() {
    let bench = bench(ResponsePolicy::Ignore, MEMORY);
    let drain = CancellationToken::new();
    let tee = Arc::clone(&bench.tee);
    let policies = Policies::new(LocalWrites::Forward, None, tee, drain.clone());
    let handle = policies.handle();
    let settings = self::tee(10, TeeOn::Always, Duplicates::Drop);
    handle.set(LocalWrites::Discard, Some(&settings));
    assert!(policies.load().recorder.is_some());
    drain.cancel();
    handle.set(LocalWrites::Forward, None);
    assert!(policies.load().recorder.is_some());
}

#[tokio::test]
async fn a_handle_keeps_the_producer_of_no_policy_alive() {
    let bench = bench(ResponsePolicy::Ignore, MEMORY);
    let handle = bench.policies.handle();
    let settings = tee(MAX_BODY, TeeOn::Always, Duplicates::Drop);
    handle.set(LocalWrites::Forward, Some(&settings));
    bench
        .send(request(Frames::new(&chunks(&[3]), true)), 1, StatusCode::OK)
        .await;
    handle.set(LocalWrites::Forward, None);
    // The queue ends only when its producer is gone.
    assert_eq!(bench.taken().await.len(), 1);
    handle.set(LocalWrites::Forward, Some(&settings));
}
