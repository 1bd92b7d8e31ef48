//! Full streams, and records that are too long.

use std::time::Duration;

use pyrotee_queue::{Limits, Reason, WhenFull};

use super::support::{Relay, Setup, in_stream, name, tags, until};
use crate::testing::Nats;

/// Room for about ten records of 1 KB.
fn small(when_full: WhenFull) -> Setup {
    Setup {
        max_bytes: 15_000,
        limits: Limits {
            when_full,
            ..Setup::default().limits
        },
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_full_stream_leaves_the_newest_in_memory() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &small(WhenFull::DropNewest)).await;
    for number in 0..20 {
        assert_eq!(a.offer_of(1, &number.to_string(), 1_000), 1);
    }
    until("the stream is full", || a.stats().counters.full > 0).await;
    until("nothing is being published", || a.stats().publishing == 0).await;
    let counts = a.counts();
    assert!(counts.handed_over.profiles >= 8, "{counts:?}");
    assert!(counts.pending.profiles >= 8, "{counts:?}");
    assert_eq!(counts.dropped(Reason::QueueFull).profiles, 0);
    let mut left = 20;
    while left > 0 {
        a.lease().await.ack();
        left -= 1;
    }
    assert_eq!(in_stream(&[&a]), 0);
}

#[tokio::test]
async fn a_full_stream_drops_its_oldest_if_the_target_says_so() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &small(WhenFull::DropOldest)).await;
    for number in 0..30 {
        assert_eq!(a.offer_of(1, &number.to_string(), 1_000), 1);
    }
    until("all are handed over", || a.counts().pending.profiles == 0).await;
    let counts = a.counts();
    let dropped = counts.dropped(Reason::QueueFull).profiles;
    assert!(dropped >= 15, "{counts:?}");
    assert_eq!(in_stream(&[&a]), 30 - i64::try_from(dropped).unwrap());
    assert_eq!(a.messages().await, 30 - dropped);
    let mut last = String::new();
    for _ in dropped..30 {
        let lease = a.lease().await;
        last = name(&lease).to_owned();
        lease.ack();
    }
    assert_eq!(last, "29");
}

#[tokio::test]
async fn a_record_that_is_too_long_stays_in_memory_and_holds_no_other_up() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    let longest = usize::try_from(a.stats().longest_body).unwrap();
    assert_eq!(a.offer_of(1, "long", longest + 2_000), 1);
    assert_eq!(a.offer_of(1, "longest", longest), 1);
    a.offer("short");
    a.until_handed_over(2).await;
    until("it is counted", || a.stats().counters.oversized == 1).await;
    assert_eq!(a.counts().pending.profiles, 1);
    a.offer("another");
    a.until_handed_over(3).await;
    let lease = a.lease().await;
    assert_eq!((name(&lease), tags(&lease)), ("long", None));
    lease.ack();
    assert_eq!(a.stats().counters.oversized, 1, "once");
}

#[tokio::test]
async fn a_queue_under_pressure_hands_its_oldest_over() {
    let nats = Nats::start().await;
    let setup = Setup {
        after: Duration::from_secs(3_600),
        limits: Limits {
            records: 16,
            ..Setup::default().limits
        },
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    for number in 0..11 {
        a.offer(&number.to_string());
    }
    assert_eq!(a.counts().handed_over.profiles, 0);
    for number in 11..100 {
        a.offer(&number.to_string());
        until("there is room", || a.counts().pending.profiles < 14).await;
    }
    let counts = a.counts();
    assert_eq!(counts.dropped(Reason::QueueFull).profiles, 0);
    assert!(counts.handed_over.profiles >= 86, "{counts:?}");
}
