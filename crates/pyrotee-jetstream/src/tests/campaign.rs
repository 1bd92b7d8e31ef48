//! Relays that deliver, fail and stop at random, while the broker is killed and hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Consumer, Limits, RetryHistory, lock};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::support::{ANY, Relay, Setup, until};
use crate::pace::Pace;
use crate::testing::Nats;

/// How often each profile was delivered, by its name.
type Delivered = Arc<Mutex<BTreeMap<String, u32>>>;

/// Delivers as a deliverer does, with failures, until the queue ends.
async fn deliver(consumer: Arc<dyn Consumer>, delivered: Delivered) {
    while let Some(lease) = consumer.lease(&ANY).await {
        let is_slow = fastrand::u8(..) < 20;
        if is_slow {
            sleep(Duration::from_millis(fastrand::u64(..30))).await;
        }
        match fastrand::u8(..10) {
            0 => drop(lease),
            1 | 2 => {
                let history = RetryHistory {
                    failures: lease.history().failures + 1,
                    ..lease.history()
                };
                let at = Instant::now() + Duration::from_millis(fastrand::u64(..200));
                lease.retry(at, history);
            }
            _ => {
                let name = lease.record().head().query.to_string();
                *lock(&delivered).entry(name).or_default() += 1;
                lease.ack();
            }
        }
        if fastrand::u8(..4) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_relays_and_broker_do_each_profile_is_delivered() {
    let mut nats = Nats::start().await;
    let setup = Setup {
        after: Duration::from_millis(20),
        limits: Limits {
            records: 10_000,
            ..Setup::default().limits
        },
        pace: Pace {
            recognised: Duration::from_secs(60),
            head_start: Duration::from_millis(20),
            ..Setup::default().pace
        },
        ..Setup::default()
    };
    let delivered = Delivered::default();
    let mut relays: Vec<Running> = Vec::new();
    let mut stopped = Vec::new();
    let mut offered = 0;
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        while relays.len() < 3 {
            let relay = Relay::open(&nats, "p", &setup);
            relays.push(Running::new(relay, &delivered));
        }
        for Running { relay, .. } in &relays {
            for _ in 0..fastrand::u64(..20) {
                relay.offer_of(fastrand::u8(1..3), &offered.to_string(), 500);
                offered += 1;
            }
            assert!(relay.counts().balance());
        }
        sleep(Duration::from_millis(20)).await;
        match fastrand::u8(..60) {
            0 => {
                nats.kill();
                sleep(Duration::from_millis(fastrand::u64(..300))).await;
                nats.restart().await;
            }
            1 => {
                nats.pause();
                sleep(Duration::from_millis(fastrand::u64(..700))).await;
                nats.resume();
            }
            2..6 => {
                let running = relays.remove(fastrand::usize(..relays.len()));
                stopped.push(running.stop().await);
            }
            _ => {}
        }
    }
    let last = Relay::ready(&nats, "p", &setup).await;
    relays.push(Running::new(last, &delivered));
    until("all are delivered", || lock(&delivered).len() == offered).await;
    until("nothing is pending", || {
        let mut all = relays.iter().map(|it| it.relay.counts().pending);
        all.all(|pending| pending.profiles == 0)
    })
    .await;
    for running in relays {
        stopped.push(running.stop().await);
    }
    until("nothing is charged", || {
        stopped.iter().all(|relay| relay.budget.recorded() == 0)
    })
    .await;
}

/// A relay and its deliverer.
struct Running {
    relay: Relay,
    deliverer: JoinHandle<()>,
}

impl Running {
    fn new(relay: Relay, delivered: &Delivered) -> Self {
        let consumer = Arc::clone(&relay.queue.consumer);
        let deliverer = tokio::spawn(deliver(consumer, Arc::clone(delivered)));
        Self { relay, deliverer }
    }

    /// Stops the deliverer, as a relay does when its time is up, then the rest.
    async fn stop(mut self) -> Relay {
        self.deliverer.abort();
        self.deliverer.await.ok();
        let dropped_none = self.relay.stop(Duration::from_secs(20)).await;
        assert!(dropped_none, "{:?}", self.relay.counts());
        self.relay
    }
}
