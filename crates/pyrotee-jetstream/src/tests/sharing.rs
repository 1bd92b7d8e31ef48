//! What one relay captured, another one delivers.

use std::time::Duration;

use pyrotee_queue::{Lane, LeaseFilter, Reason, RetryHistory, SurfaceId, Surfaces, Tally};
use tokio::time::Instant;

use super::support::{ANY, Relay, Setup, in_stream, name, sharing, tags, until};
use crate::testing::Nats;

fn other() -> Setup {
    Setup {
        tags: "pod=b",
        ..Setup::default()
    }
}

#[tokio::test]
async fn what_waits_is_taken_by_the_other_relay_with_the_tags_of_its_captor() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    for it in ["1", "2", "3"] {
        a.offer(it);
    }
    a.until_handed_over(3).await;
    assert_eq!(a.counts().pending, Tally::default());
    let b = Relay::ready(&nats, "p", &other()).await;
    for it in ["1", "2", "3"] {
        let lease = b.lease().await;
        assert_eq!((name(&lease), lease.lane()), (it, Lane::Backlog));
        assert_eq!(tags(&lease), Some("pod=a"));
        assert_eq!(lease.record().body().frames().concat(), [7; 10]);
        lease.ack();
    }
    let tally = Tally {
        profiles: 3,
        bytes: 30,
    };
    assert_eq!(
        (a.counts().accepted, a.counts().handed_over),
        (tally, tally)
    );
    assert_eq!((b.counts().taken_over, b.counts().sent), (tally, tally));
    assert_eq!(in_stream(&[&a, &b]), 0);
    let stream = a.stream().await;
    let is_empty = async { while stream.get_info().await.unwrap().state.messages > 0 {} };
    tokio::time::timeout(Duration::from_secs(10), is_empty)
        .await
        .expect("all are acknowledged");
    until("nothing is charged", || {
        (a.budget.recorded(), b.budget.recorded()) == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn a_record_that_came_with_tags_is_handed_over_with_them() {
    let nats = Nats::start().await;
    let b = Relay::ready(&nats, "p", &other()).await;
    // As a replay offers the dead letter of a record that another relay captured.
    for (count, captor_tags) in (1..).zip(["pod=c,zone=ä", ""]) {
        let record = b.record_of(1, "replayed", 10, Some(captor_tags));
        let offered = b.producer.as_ref().unwrap();
        let offered = offered.offer_to_target(b.queue.id, &record);
        assert_eq!(offered.queued, 1);
        b.until_handed_over(count).await;
        let lease = b.lease().await;
        assert_eq!(lease.lane(), Lane::Backlog);
        assert_eq!(tags(&lease), Some(captor_tags));
        lease.ack();
    }
}

#[tokio::test]
async fn a_record_that_waits_less_than_after_stays_in_memory() {
    let nats = Nats::start().await;
    let setup = Setup {
        after: Duration::from_millis(300),
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    let offered = Instant::now();
    a.offer("1");
    a.queue.consumer.fall_behind();
    a.until_handed_over(1).await;
    assert!(offered.elapsed() >= setup.after);
}

#[tokio::test]
async fn a_relay_that_stops_hands_everything_over_with_its_history() {
    let nats = Nats::start().await;
    let setup = Setup {
        after: Duration::from_secs(3_600),
        ..Setup::default()
    };
    let mut a = Relay::ready(&nats, "p", &setup).await;
    for it in ["1", "2", "3"] {
        a.offer(it);
    }
    let history = RetryHistory {
        failures: 3,
        failures_while_healthy: 2,
        panics: 1,
        ..RetryHistory::default()
    };
    let due = Instant::now() + Duration::from_secs(3_600);
    a.lease().await.retry(due, history);
    let released = a.lease().await;
    assert_eq!(name(&released), "2");
    drop(released);
    assert!(a.stop(Duration::from_secs(10)).await);
    let counts = a.counts();
    assert_eq!(counts.handed_over.profiles, 3);
    assert_eq!(counts.dropped(Reason::Shutdown), Tally::default());
    let b = Relay::ready(&nats, "p", &other()).await;
    let mut histories = Vec::new();
    for _ in 0..3 {
        let lease = b.lease().await;
        histories.push((name(&lease).to_owned(), lease.history(), lease.lane()));
        lease.ack();
    }
    histories.sort_by(|a, b| a.0.cmp(&b.0));
    let none = RetryHistory::default();
    let expected = [
        ("1".to_owned(), history, Lane::Failed),
        ("2".to_owned(), none, Lane::Backlog),
        ("3".to_owned(), none, Lane::Backlog),
    ];
    assert_eq!(histories, expected);
    assert_eq!(in_stream(&[&a, &b]), 0);
}

#[tokio::test]
async fn a_record_that_a_relay_received_comes_back_when_the_relay_stops() {
    let nats = Nats::start().await;
    let mut a = Relay::ready(&nats, "p", &Setup::default()).await;
    for it in ["1", "2"] {
        a.offer(it);
    }
    a.until_handed_over(2).await;
    let leased = a.lease().await;
    until("the other is received", || a.stats().buffered == 1).await;
    drop(a.producer.take());
    assert_eq!(
        a.counts().handed_over.profiles,
        3,
        "the buffered one goes back"
    );
    drop(leased);
    assert_eq!(a.counts().handed_over.profiles, 4);
    let ended = a.queue.consumer.lease(&ANY).await;
    assert!(ended.is_none(), "nothing is pending");
    assert!(a.stop(Duration::from_secs(10)).await);
    let b = Relay::ready(&nats, "p", &other()).await;
    for _ in 0..2 {
        b.lease().await.ack();
    }
    assert_eq!(in_stream(&[&a, &b]), 0);
    until("nothing is charged", || a.budget.recorded() == 0).await;
}

#[tokio::test]
async fn a_released_record_comes_again_in_its_place_and_a_retried_one_when_it_is_due() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    for it in ["1", "2", "3"] {
        a.offer(it);
    }
    a.until_handed_over(3).await;
    let (one, two) = (a.lease().await, a.lease().await);
    drop(two);
    drop(one);
    let history = RetryHistory {
        failures: 2,
        acked_at_last_failure: 9,
        ..RetryHistory::default()
    };
    let one = a.lease().await;
    assert_eq!(name(&one), "1");
    let due = Instant::now() + Duration::from_millis(300);
    one.retry(due, history);
    for it in ["2", "3"] {
        let lease = a.lease().await;
        assert_eq!(name(&lease), it);
        lease.ack();
    }
    let one = a.lease().await;
    assert!(Instant::now() + Duration::from_millis(50) >= due);
    assert_eq!(
        (name(&one), one.history(), one.lane()),
        ("1", history, Lane::Failed)
    );
    one.lose(Reason::Rejected);
    let counts = a.counts();
    assert_eq!(counts.dropped(Reason::Rejected).profiles, 1);
    assert_eq!((counts.sent.profiles, counts.pending.profiles), (2, 0));
    assert_eq!(in_stream(&[&a]), 0);
}

#[tokio::test]
async fn a_surface_that_nobody_asks_for_blocks_no_other() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    for number in 0..20 {
        assert_eq!(a.offer_of(1, &format!("one {number}"), 10), 1);
    }
    a.until_handed_over(20).await;
    for number in 0..2 {
        assert_eq!(a.offer_of(2, &format!("two {number}"), 10), 1);
    }
    a.until_handed_over(22).await;
    let two = LeaseFilter {
        surfaces: Surfaces::NONE.with(SurfaceId(2)),
        ..ANY[1]
    };
    for number in 0..2 {
        let lease = a.lease_of(&[two]).await;
        assert_eq!(name(&lease), format!("two {number}"));
        lease.ack();
    }
    assert_eq!(a.counts().pending.profiles, 0, "no other was received");
}

#[tokio::test]
async fn what_is_received_and_not_wanted_any_more_goes_back() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..20).await;
    a.lease().await.ack();
    until("the buffer is full", || a.stats().buffered == 8).await;
    let nothing = a.queue.consumer.lease(&[]);
    let nothing = tokio::time::timeout(Duration::from_millis(1), nothing).await;
    assert!(nothing.is_err());
    until("it goes back", || a.stats().buffered == 0).await;
    let counts = a.counts();
    assert_eq!(counts.pending.profiles, 0);
    assert_eq!(
        counts.handed_over.profiles + 1,
        counts.taken_over.profiles + 20
    );
    for _ in 1..20 {
        a.lease().await.ack();
    }
    assert_eq!(in_stream(&[&a]), 0);
}

#[tokio::test]
async fn a_removed_target_stops_sharing_until_it_returns() {
    let nats = Nats::start().await;
    let mut a = Relay::ready(&nats, "p", &Setup::default()).await;
    for it in ["1", "2"] {
        a.offer(it);
    }
    a.until_handed_over(2).await;
    let leased = a.lease().await;
    a.registry.put_in_force(&[]);
    leased.ack();
    assert!(a.queue.consumer.lease(&ANY).await.is_none(), "it ends");
    assert!(a.monitor.stats().targets.is_empty());
    let returned = a.registry.put_in_force(&[a.target.clone()]);
    a.queue = returned.into_iter().next().unwrap();
    let lease = a.lease().await;
    assert_eq!(name(&lease), "2");
    lease.ack();
    a.offer("3");
    assert_eq!(name(&a.lease().await), "3");
}

#[tokio::test]
async fn what_another_address_is_meant_for_goes_back_and_is_counted() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.offer("1");
    a.until_handed_over(1).await;
    let setup = Setup {
        whose: [2; 16],
        ..other()
    };
    let b = Relay::ready(&nats, "p", &setup).await;
    let lease = b.queue.consumer.lease(&ANY);
    tokio::select! {
        _ = lease => panic!("it is another's"),
        () = until("it is counted", || b.stats().counters.mismatched == 1) => {}
    }
    assert_eq!(b.counts().taken_over, Tally::default());
    assert_eq!(a.messages().await, 1);
    assert_ne!(sharing(&setup), sharing(&other()));
}

#[tokio::test]
async fn a_surface_that_is_not_asked_for_any_more_makes_room_for_another() {
    let nats = Nats::start().await;
    let setup = Setup {
        ack_wait: Duration::from_secs(60),
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    for number in 0..20 {
        assert_eq!(a.offer_of(1, &format!("one {number}"), 10), 1);
    }
    a.until_handed_over(20).await;
    a.lease().await.ack();
    until("the buffer is full", || a.stats().buffered == 8).await;
    assert_eq!(a.offer_of(2, "two", 10), 1);
    a.until_handed_over(21).await;
    let two = LeaseFilter {
        surfaces: Surfaces::NONE.with(SurfaceId(2)),
        ..ANY[1]
    };
    assert_eq!(name(&a.lease_of(&[two]).await), "two");
}
