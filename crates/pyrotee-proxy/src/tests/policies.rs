//! Tests that a request is served by one policy from its head to its end, whatever changes meanwhile.

use std::collections::BTreeSet;

use pyrotee_queue::Reason;

use super::*;
use crate::{Duplicates, TeeOn, TeeSettings};

/// Length of the bodies in bytes.
const LENGTH: usize = 2_000;

type Policy = (LocalWrites, Option<TeeSettings>);

const OFF: Policy = (LocalWrites::Forward, None);

fn policy(local_writes: LocalWrites, max_body: u64, on: TeeOn) -> Policy {
    let tee = TeeSettings {
        max_body,
        on,
        duplicates: Duplicates::Tee,
        check: None,
    };
    (local_writes, Some(tee))
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    status: u16,
    /// Whether the upstream got the request.
    forwarded: bool,
    queued: u64,
    too_large: u64,
}

impl Outcome {
    /// What becomes of a request under `policy`, to which the upstream responds with `upstream`.
    fn of((local_writes, tee): &Policy, upstream: u16) -> Self {
        let forwarded = *local_writes == LocalWrites::Forward;
        let fits = tee.as_ref().map(|tee| tee.max_body >= LENGTH as u64);
        let wanted = |tee: &TeeSettings| tee.on == TeeOn::Always || upstream == 200;
        let queued = fits == Some(true) && tee.as_ref().is_some_and(wanted);
        let status = match fits {
            _ if forwarded => upstream,
            Some(true) => 200,
            _ => 413,
        };
        Self {
            status,
            forwarded,
            queued: u64::from(queued),
            too_large: u64::from(fits == Some(false)),
        }
    }
}

impl Relay {
    fn set(&self, (local_writes, tee): &Policy) {
        self.policy.set(*local_writes, tee.as_ref());
    }

    /// Profiles that were queued, and that were too large.
    fn counts(&self) -> (u64, u64) {
        let counts = self.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        let too_large = counts.dropped(Reason::TooLarge).profiles;
        (counts.pending.profiles, too_large)
    }

    /// Sends a request, to which the upstream responds with `status`, and changes the policy between its head and the
    /// end of its body.
    async fn send(&self, client: &mut Connection, status: u16, change: Option<&Policy>) -> Outcome {
        let before = (self.counts(), self.upstream.lock().unwrap().len());
        let query = format!("name=app&status={status}");
        client.begin(&query, LENGTH).await;
        client.send_body(LENGTH / 2).await.unwrap();
        if let Some(policy) = change {
            self.set(policy);
        }
        client.send_body(LENGTH / 2).await.unwrap();
        let status = client.response().await.unwrap();
        let (queued, too_large) = self.counts();
        let forwarded = self.upstream.lock().unwrap().len() - before.1;
        Outcome {
            status,
            forwarded: forwarded == 1,
            queued: queued - before.0.0,
            too_large: too_large - before.0.1,
        }
    }
}

#[tokio::test]
async fn a_request_ends_under_the_policy_of_its_head() {
    use LocalWrites::{Discard, Forward};
    let policies = [
        OFF,
        policy(Forward, 1 << 20, TeeOn::Always),
        policy(Forward, 1 << 20, TeeOn::UpstreamSuccess),
        policy(Forward, 10, TeeOn::Always),
        policy(Discard, 1 << 20, TeeOn::Always),
        policy(Discard, 10, TeeOn::Always),
    ];
    let relay = Relay::start(true);
    let mut client = relay.connect().await;
    for (old, new) in policies
        .iter()
        .flat_map(|old| policies.iter().map(move |new| (old, new)))
    {
        for status in [200, 422] {
            relay.set(old);
            let changed = relay.send(&mut client, status, Some(new)).await;
            let (was, is) = (Outcome::of(old, status), Outcome::of(new, status));
            assert_eq!(changed, was, "{old:?} became {new:?}");
            assert_eq!(relay.send(&mut client, status, None).await, is, "{new:?}");
        }
    }
}

#[tokio::test]
async fn the_rest_of_a_body_is_read_as_far_as_the_policy_of_its_head_says() {
    let (small, large) = (1_000, 1 << 20);
    for (old, new, is_read) in [(small, large, false), (large, small, true)] {
        let relay = Relay::start(false);
        relay.set(&policy(LocalWrites::Forward, old, TeeOn::Always));
        let mut client = relay.connect().await;
        client.send_head("name=app", 200_000, "").await;
        // There is no upstream: the response comes before the body.
        assert_eq!(client.response().await.unwrap(), 404);
        relay.set(&policy(LocalWrites::Forward, new, TeeOn::Always));
        // Fails if the relay has closed the connection.
        let sent = client.send_body(200_000).await;
        if is_read {
            sent.unwrap();
            client.send_head("name=next", 0, "").await;
            assert_eq!(client.response().await.unwrap(), 404);
            assert_eq!(relay.counts(), (2, 0));
        } else {
            assert!(client.response().await.is_err(), "the connection is closed");
            assert_eq!(relay.counts(), (0, 0), "an incomplete body is no profile");
        }
    }
}

#[tokio::test]
async fn the_queues_are_closed_at_the_end_although_a_handle_is_alive() {
    for last in [OFF, policy(LocalWrites::Forward, 1 << 20, TeeOn::Always)] {
        let relay = Relay::start(true);
        let handle = relay.policy.clone();
        let teeing = policy(LocalWrites::Forward, 1 << 20, TeeOn::Always);
        relay.set(&teeing);
        let mut client = relay.connect().await;
        client.begin("name=app", LENGTH).await;
        relay.set(&last);
        relay.drain.cancel();
        // The drain has begun: this has no effect, nor has it on the request that has not ended.
        relay.set(&OFF);
        client.send_body(LENGTH).await.unwrap();
        assert_eq!(client.response().await.unwrap(), 200);
        assert_eq!(relay.stop().await, ["name=app"]);
        handle.set(teeing.0, teeing.1.as_ref());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_served_by_half_of_two_policies() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 600;
    let policies = Arc::new([
        OFF,
        policy(LocalWrites::Discard, 1 << 20, TeeOn::Always),
        policy(LocalWrites::Discard, 10, TeeOn::Always),
    ]);
    let relay = Arc::new(Relay::start(true));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (relay, policies) = (Arc::clone(&relay), Arc::clone(&policies));
            tokio::spawn(async move {
                let mut connection = relay.connect().await;
                let mut responses = Vec::new();
                for number in 0..REQUESTS {
                    // Each client changes the policy for all.
                    relay.set(&policies[(client + number) % policies.len()]);
                    let query = format!("name=app{client}-{number}&status=422");
                    connection.send_head(&query, LENGTH, "").await;
                    connection.send_body(LENGTH).await.unwrap();
                    responses.push((query, connection.response().await.unwrap()));
                }
                responses
            })
        })
        .collect();
    let (mut forwarded, mut queued, mut too_large) = (BTreeSet::new(), BTreeSet::new(), 0);
    for client in clients {
        for (query, status) in client.await.unwrap() {
            match status {
                422 => assert!(forwarded.insert(query)),
                200 => assert!(queued.insert(query)),
                413 => too_large += 1,
                other => panic!("{other} for {query}"),
            }
        }
    }
    assert_eq!(
        forwarded.len() + queued.len() + too_large,
        CLIENTS * REQUESTS
    );
    assert!(!forwarded.is_empty() && !queued.is_empty() && too_large > 0);
    assert_eq!(relay.counts(), (queued.len() as u64, too_large as u64));
    let seen: Vec<_> = std::mem::take(&mut *relay.upstream.lock().unwrap());
    assert_eq!(seen.len(), forwarded.len());
    assert_eq!(BTreeSet::from_iter(seen), forwarded);
    let relay = Arc::into_inner(relay).expect("the clients have ended");
    assert_eq!(BTreeSet::from_iter(relay.stop().await), queued);
}
