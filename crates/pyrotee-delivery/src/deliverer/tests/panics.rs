//! Tests of panics outside an upload: of the deliverer itself, and of a worker that settles a record.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pyrotee_queue::LeaseEnd;
use pyrotee_queue::{Lease, LeaseFilter, LeaseFuture, Part, Settle, Tally};

use super::*;

/// A queue that panics a given number of times.
#[derive(Debug)]
struct Brittle {
    queue: Arc<dyn Consumer>,
    /// How many more calls of `lease` panic.
    leases: Arc<AtomicUsize>,
    /// How many more acknowledgements panic.
    acks: Arc<AtomicUsize>,
}

/// Panics with `what` and counts `left` down, until `left` is zero.
fn strike(left: &AtomicUsize, what: &str) {
    let struck = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
    assert!(struck.is_err(), "{what}");
}

struct BrittleLease {
    lease: Lease,
    acks: Arc<AtomicUsize>,
}

impl Settle for BrittleLease {
    fn settle(self: Box<Self>, end: LeaseEnd) {
        match end {
            LeaseEnd::Acked => {
                strike(&self.acks, "settling broke");
                self.lease.ack();
            }
            LeaseEnd::Lost(reason) => self.lease.lose(reason),
            LeaseEnd::Released => drop(self.lease),
            LeaseEnd::Retried { at, history } => self.lease.retry(at, history),
        }
    }
}

impl Consumer for Brittle {
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a> {
        Box::pin(async move {
            strike(&self.leases, "leasing broke");
            let lease = self.queue.lease(filters).await?;
            let (record, lane, history) = (lease.record().clone(), lease.lane(), lease.history());
            let acks = Arc::clone(&self.acks);
            let settle = Box::new(BrittleLease { lease, acks });
            Some(Lease::new(record, lane, history, settle))
        })
    }

    fn fall_behind(&self) {
        self.queue.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.queue.expire(received_before);
    }

    fn abandon(&self, reason: Reason) {
        self.queue.abandon(reason);
    }

    fn purge(&self) -> Tally {
        self.queue.purge()
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.queue.oldest()
    }
}

fn rig(leases: usize, acks: usize) -> Rig {
    let (leases, acks) = (Arc::new(leases.into()), Arc::new(acks.into()));
    let wrap = |queue| -> Arc<dyn Consumer> {
        let (leases, acks) = (Arc::clone(&leases), Arc::clone(&acks));
        Arc::new(Brittle {
            queue,
            leases,
            acks,
        })
    };
    let servers = [Server::new(|_| Act::OK)];
    let refresh = CredentialRefresh::disabled();
    let [rig] = Rig::over_queues(&settings(), servers, LIMITS, wrap, &refresh);
    rig
}

#[tokio::test(start_paused = true)]
async fn a_deliverer_goes_on_after_its_own_panics() {
    let rig = rig(3, 0);
    let started = Instant::now();
    for number in 0..10 {
        rig.offer(&format!("app{number}"));
    }
    assert_eq!(rig.settled().await.sent.profiles, 10);
    assert!(started.elapsed() >= Duration::from_secs(3), "with pauses");
    assert_eq!(rig.supervisor.panics(Part::Deliverer), 3);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_costs_an_upload_and_no_other_record() {
    let rig = rig(0, 2);
    let started = Instant::now();
    for number in 0..10 {
        rig.offer(&format!("app{number}"));
    }
    assert_eq!(rig.settled().await.sent.profiles, 10);
    assert!(started.elapsed() >= Duration::from_secs(1), "with a pause");
    assert_eq!(rig.supervisor.panics(Part::Deliverer), 2);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_settled_is_set_aside_after_the_third_panic() {
    let rig = rig(0, 3);
    rig.offer("app");
    let counts = rig.settled().await;
    assert_eq!(counts.dropped(Reason::Undecodable).profiles, 1);
    let letters = rig.dead_letters.lock().unwrap().clone();
    let expected = "central name=app Undecodable after 3: None the delivery panicked 3 times";
    assert_eq!(letters, [expected]);
    rig.offer("next");
    assert_eq!(rig.settled().await.sent.profiles, 1);
    rig.drained().await;
}
