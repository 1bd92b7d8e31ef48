//! Relays that deliver, fail and stop at random, while the broker is killed and hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Consumer, Limits, RetryHistory, lock};
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
    let mut deliverers = Vec::new();
    let mut relays: Vec<Relay> = Vec::new();
    let mut stopped = Vec::new();
    let mut offered = 0;
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        while relays.len() < 3 {
            let relay = Relay::open(&nats, "p", &setup);
            // The last relay only hands over.
            if relays.len() < 2 {
                let consumer = Arc::clone(&relay.queue.consumer);
                deliverers.push(tokio::spawn(deliver(consumer, Arc::clone(&delivered))));
            }
            relays.push(relay);
        }
        for relay in &relays {
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
                let mut relay = relays.remove(fastrand::usize(..relays.len()));
                assert!(relay.stop(Duration::from_secs(20)).await);
                stopped.push(relay);
            }
            _ => {}
        }
    }
    for relay in &mut relays {
        relay.until_ready().await;
    }
    let consumer = Arc::clone(&relays[2].queue.consumer);
    deliverers.push(tokio::spawn(deliver(consumer, Arc::clone(&delivered))));
    until("all are delivered", || lock(&delivered).len() == offered).await;
    until("nothing is pending", || {
        relays
            .iter()
            .all(|relay| relay.counts().pending.profiles == 0)
    })
    .await;
    for deliverer in deliverers {
        deliverer.abort();
    }
    until("nothing is charged", || {
        let mut all = relays.iter().chain(&stopped);
        all.all(|relay| relay.budget.recorded() == 0)
    })
    .await;
}
