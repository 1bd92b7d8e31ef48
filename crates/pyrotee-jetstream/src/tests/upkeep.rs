//! Purges, expiry, orphans and damage.

use std::time::Duration;

use pyrotee_queue::{Reason, Tally};

use super::support::{ANY, LOOK, Relay, Setup, TARGET, in_stream, name, until};
use crate::ControlError;
use crate::testing::Nats;

#[tokio::test]
async fn a_purge_is_counted_once_by_the_relay_that_asks_for_it() {
    let nats = Nats::start().await;
    let setup = Setup::default();
    let (a, b) = tokio::join!(
        Relay::ready(&nats, "p", &setup),
        Relay::ready(&nats, "p", &setup)
    );
    a.hand_over(0..5).await;
    let purged = b.control.purge(TARGET).await.unwrap();
    assert_eq!(purged.profiles, 5);
    assert!(purged.bytes > 50, "{purged:?}");
    assert_eq!(b.counts().dropped(Reason::Admin), purged);
    assert_eq!(a.counts().dropped(Reason::Admin), Tally::default());
    assert_eq!(in_stream(&[&a, &b]), 0);
    assert_eq!(a.messages().await, 0);
    assert_eq!(b.stats().counters.purged, 5);
    let unknown = a.control.purge("us").await;
    assert!(matches!(unknown, Err(ControlError::Unknown(_))));
}

#[tokio::test]
async fn what_was_received_is_purged_with_the_memory() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..12).await;
    let leased = a.lease().await;
    until("the buffer is full", || a.stats().buffered == 8).await;
    assert_eq!(a.queue.consumer.purge().profiles, 8);
    a.control.purge(TARGET).await.unwrap();
    leased.ack();
    let counts = a.counts();
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(counts.pending.profiles, 0, "{counts:?}");
    assert_eq!(a.messages().await, 0);
    assert_eq!(counts.dropped(Reason::Admin).profiles, 11, "{counts:?}");
    assert_eq!(in_stream(&[&a]), 0);
}

#[tokio::test]
async fn expired_records_are_removed_from_the_stream_and_counted_once() {
    let nats = Nats::start().await;
    let setup = Setup {
        max_age: Some(Duration::from_millis(700)),
        ..Setup::default()
    };
    let (a, b) = tokio::join!(
        Relay::ready(&nats, "p", &setup),
        Relay::ready(&nats, "p", &setup)
    );
    a.hand_over(0..5).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    a.offer("young");
    a.until_handed_over(6).await;
    let expired = || {
        let of = |relay: &Relay| relay.counts().dropped(Reason::Expired).profiles;
        of(&a) + of(&b)
    };
    until("five expire", || expired() >= 5).await;
    until("all expire", || expired() >= 6).await;
    assert_eq!(expired(), 6);
    assert_eq!(in_stream(&[&a, &b]), 0);
    assert_eq!(a.messages().await, 0);
}

#[tokio::test]
async fn a_damaged_record_is_dropped_and_counted() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.publish(1, "damaged").await;
    a.offer("1");
    a.until_handed_over(1).await;
    let lease = a.lease().await;
    assert_eq!(name(&lease), "1");
    lease.ack();
    assert_eq!(a.stats().counters.corrupt, 1);
    assert_eq!(a.counts().dropped(Reason::Corrupt).profiles, 1);
    let ended = tokio::time::timeout(Duration::from_millis(50), a.queue.consumer.lease(&ANY));
    assert!(ended.await.is_err());
    assert_eq!(a.messages().await, 0);
}

#[tokio::test]
async fn nothing_that_was_delivered_stays_in_the_stream_after_a_kill_of_the_broker() {
    let mut nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..500).await;
    for _ in 0..500 {
        a.lease().await.ack();
    }
    nats.kill();
    nats.restart().await;
    // An answer may be lost with the broker: then the record comes again. Or it is stranded, and swept.
    let empty = async {
        loop {
            let lease = tokio::time::timeout(Duration::from_millis(50), a.lease()).await;
            if let Ok(lease) = lease {
                lease.ack();
            } else if a.session().is_some() && a.messages().await == 0 {
                return;
            }
        }
    };
    let emptied = tokio::time::timeout(Duration::from_secs(20), empty).await;
    assert!(emptied.is_ok(), "{:?}", a.stats());
}

#[tokio::test]
async fn records_of_a_surface_that_only_newer_relays_know_stay() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.publish(9, "newer").await;
    for number in 0..5 {
        a.offer(&number.to_string());
        a.lease().await.ack();
    }
    until("looks were done", || a.stats().bytes > 0).await;
    tokio::time::sleep(4 * LOOK).await;
    assert_eq!(a.messages().await, 1);
    assert_eq!(a.stats().counters.orphans, 0);
}

#[tokio::test]
async fn the_limits_that_an_administrator_changes_are_those_of_the_next_look() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    let before = a.stats();
    let mut changed = a.stream().await.get_info().await.unwrap().config;
    changed.max_bytes = 12_345_678;
    changed.max_message_size = 100_000;
    let jetstream = &a.session().unwrap().jetstream;
    jetstream.update_stream(changed).await.unwrap();
    until("the look is done", || {
        let stats = a.stats();
        stats.max_bytes == 12_345_678 && stats.longest_body < 100_000
    })
    .await;
    assert!(before.longest_body > 100_000 && before.max_bytes != 12_345_678);
}

#[tokio::test]
async fn the_numbers_of_the_stream_are_those_of_the_fleet() {
    let nats = Nats::start().await;
    let setup = Setup::default();
    let (a, b) = tokio::join!(
        Relay::ready(&nats, "p", &setup),
        Relay::ready(&nats, "p", &setup)
    );
    a.hand_over(0..5).await;
    for relay in [&a, &b] {
        until("the look is done", || {
            let stats = relay.stats();
            stats.waiting == 5 && stats.bytes > 50 && stats.oldest.is_some()
        })
        .await;
    }
    assert_eq!(a.stats().counters.published, 5);
    assert_eq!(a.stats().counters.published_bytes, 50);
}
