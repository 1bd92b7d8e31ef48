//! Tests of how a delivery ends: by a handle, and with its queue.

use pyrotee_queue::LeaseFilter;

use super::*;

const FIVE_SECONDS: Act = Act::Take(Duration::from_secs(5));

fn one_worker() -> Settings {
    Settings {
        workers: 1,
        ..settings()
    }
}

/// Stops the draining, and returns how long the deliverer still ran.
async fn ended(rig: &mut Rig) -> Duration {
    let start = Instant::now();
    rig.handle.stop_draining();
    (&mut rig.running).await.expect("no panic");
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_flight_ends_and_no_other_begins() {
    let mut rig = Rig::with(&one_worker(), Server::new(|_| FIVE_SECONDS));
    for name in ["first", "second", "third"] {
        rig.offer(name);
    }
    pause(1.0).await;
    let took = ended(&mut rig).await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
    let counts = rig.counts();
    assert_eq!((counts.sent.profiles, counts.pending.profiles), (1, 2));
    assert_eq!(rig.server.names(), ["first"]);
    let lease = rig.consumer.lease(&LeaseFilter::ANY).await;
    assert!(lease.is_some(), "somebody else delivers the others");
    assert_eq!(rig.connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_hangs_ends_by_the_timeout() {
    let mut rig = Rig::new(Server::new(|_| Act::Hang));
    rig.offer("app");
    pause(4.0).await;
    let took = ended(&mut rig).await;
    assert!(took <= Duration::from_millis(6_100), "{took:?}");
    assert_eq!(rig.counts().pending.profiles, 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_waits_for_memory_is_given_up() {
    let tags = Tags::parse([("region".to_owned(), "eu".to_owned())]).unwrap();
    let settings = Settings { tags, ..settings() };
    let mut rig = Rig::with(&settings, Server::new(|_| Act::OK));
    let others = rig.budget.try_workspace(rig.budget.largest_workspace());
    rig.offer_push();
    pause(1.0).await;
    let took = ended(&mut rig).await;
    assert!(took <= Duration::from_secs(13), "{took:?}");
    assert_eq!(rig.counts().pending.profiles, 1);
    drop(others);
    let lease = rig.consumer.lease(&LeaseFilter::ANY).await.unwrap();
    assert_eq!(lease.history().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deliverer_that_waits_ends_at_once() {
    let mut idle = Rig::new(Server::new(|_| Act::OK));
    idle.offer("app");
    idle.settled().await;
    assert_eq!(ended(&mut idle).await, Duration::ZERO);

    let mut blocked = Rig::new(Server::with_door(|| false, |_| Act::OK));
    blocked.offer("app");
    pause(100.0).await;
    assert_eq!(ended(&mut blocked).await, Duration::ZERO);
    assert_eq!(blocked.counts().pending.profiles, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_uploads() {
    let mut rig = Rig::new(Server::new(|_| Act::Hang));
    rig.offer("app");
    pause(1.0).await;
    let start = Instant::now();
    rig.handle.stop_draining();
    pause(1.0).await;
    rig.stop.cancel();
    (&mut rig.running).await.expect("no panic");
    assert!(start.elapsed() < Duration::from_millis(1_100));
    assert_eq!(rig.counts().dropped(Reason::Shutdown).profiles, 1);
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_queue_has_ended_can_come_back() {
    let mut rig = Rig::new(Server::new(|_| FIVE_SECONDS));
    rig.offer("app");
    pause(1.0).await;
    assert!(rig.registry.put_in_force(&[]).is_empty());
    (&mut rig.running).await.expect("no panic");
    assert_eq!(rig.counts().sent.profiles, 1);
    let target = TargetQueue {
        name: "0".to_owned(),
        limits: LIMITS,
        ledger: Arc::default(),
        sharing: None,
    };
    assert_eq!(rig.registry.put_in_force(&[target]).len(), 1);
    rig.offer("next");
    assert_eq!(rig.counts().pending.profiles, 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_when_the_queue_ends_has_no_effect() {
    let mut rig = Rig::new(Server::new(|_| FIVE_SECONDS));
    rig.offer("app");
    pause(1.0).await;
    let other = Settings {
        workers: 1,
        address: Address::parse("http://other.example").unwrap().address,
        ..settings()
    };
    rig.producer = None;
    rig.handle.update(&other).unwrap();
    (&mut rig.running).await.expect("no panic");
    assert_eq!(rig.counts().sent.profiles, 1);
    rig.handle.update(&settings()).unwrap();
    assert_eq!(rig.monitor.status().workers, 64);
}
