//! Brokers that stop, and relays that are gone.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream;
use pyrotee_queue::{Limits, Reason, RetryHistory, SurfaceId};
use tokio::time::Instant;

use super::support::{ANY, Relay, SURFACES, Setup, TARGET, in_stream, name, until};
use crate::pace::Pace;
use crate::testing::Nats;
use crate::tunnel::answer_of_repeated;
use crate::{Policy, names};

#[tokio::test]
async fn a_lease_of_a_relay_that_is_gone_ends() {
    let nats = Nats::start().await;
    let setup = Setup {
        ack_wait: Duration::from_millis(500),
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    a.offer("1");
    a.until_handed_over(1).await;
    let lease = a.lease().await;
    a.monitor.backend.stop.cancel();
    let b = Relay::ready(&nats, "p", &setup).await;
    let taken = b.lease().await;
    assert_eq!(name(&taken), "1");
    assert_eq!(b.stats().counters.redelivered, 1);
    taken.ack();
    drop(lease);
}

#[tokio::test]
async fn a_lease_is_kept_as_long_as_its_relay_lives() {
    let nats = Nats::start().await;
    let setup = Setup {
        ack_wait: Duration::from_millis(300),
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    let b = Relay::ready(&nats, "p", &setup).await;
    a.offer("1");
    a.until_handed_over(1).await;
    let lease = a.lease().await;
    let other = b.queue.consumer.lease(&ANY);
    let other = tokio::time::timeout(Duration::from_millis(1_200), other).await;
    assert!(other.is_err(), "it is leased");
    lease.ack();
    assert_eq!(in_stream(&[&a, &b]), 0);
}

#[tokio::test]
async fn while_the_broker_hangs_offers_are_fast_and_afterwards_nothing_is_charged_or_lost() {
    let nats = Nats::start().await;
    let setup = Setup {
        limits: Limits {
            records: 40,
            ..Setup::default().limits
        },
        pace: Pace {
            recognised: Duration::from_secs(60),
            ..Setup::default().pace
        },
        ..Setup::default()
    };
    let a = Relay::ready(&nats, "p", &setup).await;
    nats.pause();
    let mut slowest = Duration::ZERO;
    for number in 0..30 {
        let record = a.record(1, &number.to_string(), 50_000);
        let begun = Instant::now();
        let offered = a.producer.as_ref().unwrap().offer(&record);
        slowest = slowest.max(begun.elapsed());
        assert_eq!(offered.queued, 1);
        tokio::task::yield_now().await;
    }
    assert!(slowest < Duration::from_millis(5), "{slowest:?}");
    until("some are being published", || a.stats().publishing == 10).await;
    // The others are delivered meanwhile.
    for number in 10..30 {
        let lease = a.lease().await;
        assert_eq!(name(&lease), number.to_string());
        lease.ack();
    }
    nats.resume();
    a.until_handed_over(10).await;
    a.until_ready().await;
    assert_eq!(a.messages().await, 10, "each is stored once");
    for _ in 0..10 {
        a.lease().await.ack();
    }
    assert_eq!(in_stream(&[&a]), 0);
    until("nothing is charged", || a.budget.recorded() == 0).await;
}

#[tokio::test]
async fn a_broker_that_never_answers_leaves_all_in_memory_and_nothing_charged() {
    let nats = Nats::start().await;
    let setup = Setup {
        pace: Pace {
            recognised: Duration::from_millis(300),
            puback: Duration::from_millis(200),
            ..Setup::default().pace
        },
        ..Setup::default()
    };
    let mut a = Relay::ready(&nats, "p", &setup).await;
    nats.pause();
    for number in 0..5 {
        a.offer(&number.to_string());
    }
    until("they went back", || {
        a.stats().counters.possibly_doubled >= 5
    })
    .await;
    for _ in 0..5 {
        a.lease().await.ack();
    }
    assert_eq!(a.counts().sent.profiles, 5);
    until("nothing is charged", || a.budget.recorded() == 0).await;
    a.offer("late");
    assert!(!a.stop(Duration::from_millis(300)).await);
    assert_eq!(a.counts().dropped(Reason::Shutdown).profiles, 1);
    until("nothing is charged", || a.budget.recorded() == 0).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let mut nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..5).await;
    nats.kill();
    for number in 5..10 {
        a.offer(&number.to_string());
    }
    nats.restart().await;
    a.until_handed_over(10).await;
    let mut names: Vec<u32> = Vec::new();
    for _ in 0..10 {
        let lease = a.lease().await;
        names.push(name(&lease).parse().unwrap());
        lease.ack();
    }
    names.sort_unstable();
    assert_eq!(names, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_that_is_published_twice_is_stored_once() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    answer_of_repeated(&a.monitor.backend, TARGET).await;
    assert_eq!(a.messages().await, 1);
}

#[tokio::test]
async fn an_old_broker_does_as_well_if_an_administrator_has_made_the_stream() {
    let nats = Nats::old().await;
    let client = async_nats::connect(format!("127.0.0.1:{}", nats.port()))
        .await
        .unwrap();
    let stream = stream::Config {
        name: names::stream("p", TARGET),
        subjects: vec![names::subjects("p", TARGET)],
        retention: stream::RetentionPolicy::WorkQueue,
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    let stream = jetstream::new(client).create_stream(stream).await.unwrap();
    for (number, _) in SURFACES {
        let consumer = pull::Config {
            durable_name: Some(names::consumer(SurfaceId(number))),
            filter_subject: names::subject("p", TARGET, SurfaceId(number)),
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        stream.create_consumer(consumer).await.unwrap();
    }
    let setup = Setup {
        policy: Policy::Bind,
        ..Setup::default()
    };
    let mut a = Relay::ready(&nats, "p", &setup).await;
    let b = Relay::ready(&nats, "p", &setup).await;
    a.hand_over(0..20).await;
    for _ in 0..10 {
        b.lease().await.ack();
    }
    b.lease().await.lose(Reason::Rejected);
    let due = Instant::now() + Duration::from_millis(100);
    b.lease().await.retry(due, RetryHistory::default());
    assert!(a.stop(Duration::from_secs(5)).await);
    for _ in 0..9 {
        b.lease().await.ack();
    }
    assert_eq!(in_stream(&[&a, &b]), 0);
}

#[tokio::test]
async fn a_stream_and_a_consumer_that_an_operator_deletes_are_made_again() {
    let nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    let stream = a.stream().await;
    stream.delete_consumer("s1").await.unwrap();
    a.hand_over(0..2).await;
    a.lease().await.ack();
    let held = a.lease().await;
    let jetstream = &a.session().unwrap().jetstream;
    jetstream.delete_stream(&a.target().stream).await.unwrap();
    // They get the sequences of the first two.
    a.hand_over(2..4).await;
    for expected in ["2", "3"] {
        let lease = a.lease().await;
        assert_eq!(name(&lease), expected);
        lease.ack();
    }
    held.ack();
    assert_eq!(a.counts().sent.profiles, 4);
}

#[tokio::test]
async fn a_server_that_retires_and_returns_loses_nothing() {
    let mut nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..5).await;
    let leased = a.lease().await;
    nats.retire();
    nats.kill();
    until("the session has ended", || a.session().is_none()).await;
    // Its answer waits for the next session.
    leased.ack();
    nats.restart().await;
    for number in 1..5 {
        let lease = a.lease().await;
        assert_eq!(name(&lease), number.to_string());
        lease.ack();
    }
    assert_eq!((a.counts().sent.profiles, in_stream(&[&a])), (5, 0));
}

#[tokio::test]
async fn what_a_killed_broker_did_not_read_or_forgot_is_not_delivered_again() {
    let mut nats = Nats::start().await;
    let a = Relay::ready(&nats, "p", &Setup::default()).await;
    a.hand_over(0..5).await;
    let (sent, lost) = (a.lease().await, a.lease().await);
    nats.pause();
    sent.ack();
    lost.lose(Reason::Rejected);
    tokio::time::sleep(Duration::from_millis(50)).await;
    nats.kill();
    until("the session has ended", || a.session().is_none()).await;
    nats.restart().await;
    until("there is another", || a.session().is_some()).await;
    for number in 2..5 {
        let lease = a.lease().await;
        assert_eq!(name(&lease), number.to_string());
        lease.ack();
    }
    let emptied = async {
        while a.messages().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let emptied = tokio::time::timeout(Duration::from_secs(20), emptied);
    // The broker gives both out again, at once or after `ack_wait`, if the deliverer asks for backlog.
    tokio::select! {
        lease = a.lease() => panic!("{} is delivered again", name(&lease)),
        emptied = emptied => emptied.expect("the broker is answered again"),
    }
    let counts = a.counts();
    assert_eq!(
        (
            counts.sent.profiles,
            counts.dropped(Reason::Rejected).profiles
        ),
        (4, 1)
    );
}
