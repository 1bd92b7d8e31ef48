//! Tests of what a relay tells and hears about a target that other relays deliver to as well.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::TargetState;

/// A rig whose target can be reached while the flag is set.
fn rig() -> (Rig, Arc<AtomicBool>) {
    let is_up = Arc::new(AtomicBool::new(true));
    let door = Arc::clone(&is_up);
    let server = Server::with_door(
        move || door.load(SeqCst),
        // Each upload needs a new connection.
        |_| Act::Answer {
            status: 200,
            headers: vec![("Connection", "close".to_owned())],
            text: String::new(),
        },
    );
    (Rig::new(server), is_up)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_each_outage_is_told_and_another_relays_is_heard() {
    let (rig, is_up) = rig();
    let mut recoveries = rig.handle.recoveries();
    rig.handle.set_relays(20);
    for outage in 1..=2 {
        rig.offer("before");
        rig.settled().await;
        let told = recoveries.has_changed().expect("the target is there");
        assert!(!told, "nothing was blocked");
        is_up.store(false, SeqCst);
        rig.offer("during");
        // Twenty relays probe so rarely that minutes pass.
        pause(600.0).await;
        assert_eq!(rig.monitor.status().state, TargetState::Open);
        let wait = rig.monitor.status().next_try.expect("it is blocked");
        is_up.store(true, SeqCst);
        if wait > Duration::from_secs(2) {
            rig.handle.probe_soon();
        }
        pause(1.1).await;
        assert_eq!(rig.monitor.status().state, TargetState::Healthy);
        assert_eq!(*recoveries.borrow_and_update(), outage);
    }
}

#[tokio::test(start_paused = true)]
async fn the_replay_rate_is_divided_and_stays_so_after_a_change() {
    let with = |rate| Settings {
        replay_rate: NonZeroU64::new(rate),
        ..settings()
    };
    let rig = Rig::with(&with(400), Server::new(|_| Act::OK));
    rig.handle.set_relays(4);
    for _ in 0..1_000 {
        rig.offer("app");
    }
    rig.consumer.fall_behind();
    let sent_in_a_minute = async || {
        let before = rig.counts().sent.profiles;
        pause(60.0).await;
        rig.counts().sent.profiles - before
    };
    // 100 bytes each.
    assert!((58..=63).contains(&sent_in_a_minute().await));
    rig.handle.update(&with(800)).unwrap();
    assert!((118..=123).contains(&sent_in_a_minute().await));
}
