//! Changes that leave the flow control in force.

use std::num::NonZeroU64;

use super::*;
use crate::Credentials;

const SECOND: Act = Act::Take(Duration::from_secs(1));

#[tokio::test(start_paused = true)]
async fn a_tag_changes_for_the_next_upload_over_the_same_connection() {
    let tagged = |pod: &str| Settings {
        tags: Tags::parse([("pod".to_owned(), pod.to_owned())]).unwrap(),
        workers: 1,
        ..settings()
    };
    let rig = Rig::with(&tagged("old"), Server::new(|_| SECOND));
    rig.offer("a");
    rig.offer("b");
    pause(0.5).await;
    rig.handle.update(&tagged("new")).unwrap();
    rig.settled().await;
    let names = rig.server.names();
    let has = |name: &str, tag: &str| name.contains(tag);
    assert!(has(&names[0], "old") && !has(&names[0], "new"), "{names:?}");
    assert!(has(&names[1], "new") && !has(&names[1], "old"), "{names:?}");
    assert_eq!((connects(&rig), rig.connections.open()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_follow_the_server_and_not_the_path() {
    let rig = Rig::with(&at("http://one.example"), Server::new(|_| SECOND));
    let upload = async || {
        for name in ["a", "b", "c"] {
            rig.offer(name);
        }
        rig.settled().await;
    };
    upload().await;
    rig.handle.update(&at("http://one.example/prefix")).unwrap();
    upload().await;
    assert_eq!((connects(&rig), rig.connections.open()), (3, 3));
    let path = rig.server.seen(|seen| seen.uploads[5].path.clone());
    assert_eq!(path, "/prefix/ingest");
    rig.handle.update(&at("http://two.example")).unwrap();
    pause(0.1).await;
    assert_eq!(rig.connections.open(), 0);
    upload().await;
    assert_eq!((connects(&rig), rig.connections.open()), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_ends_after_its_upload_if_the_server_changes() {
    let one = Settings {
        workers: 1,
        ..at("http://one.example")
    };
    let rig = Rig::with(&one, Server::new(|_| SECOND));
    rig.offer("a");
    pause(0.5).await;
    let two = Settings {
        workers: 1,
        ..at("http://two.example")
    };
    rig.handle.update(&two).unwrap();
    pause(1.0).await;
    assert_eq!(rig.counts().sent.profiles, 1);
    assert_eq!(rig.connections.open(), 0);
    rig.offer("b");
    rig.settled().await;
    assert_eq!((connects(&rig), rig.connections.open()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_cannot_be_sent_changes_nothing() {
    let rig = Rig::new(Server::new(|_| Act::OK));
    let broken = Settings {
        credentials: Some(Credentials::Bearer("two\nlines".into())),
        workers: 1,
        ..settings()
    };
    assert!(rig.handle.update(&broken).is_err());
    assert_eq!(rig.monitor.status().workers, 64);
    rig.offer("app");
    assert_eq!(rig.settled().await.sent.profiles, 1);
}

#[tokio::test(start_paused = true)]
async fn workers_are_lowered_and_raised_while_uploads_are_in_flight() {
    let rig = Rig::new(Server::new(|_| SECOND));
    for number in 0..1_000 {
        rig.offer(&format!("app{number}"));
    }
    pause(0.5).await;
    let with = |workers| Settings {
        workers,
        ..settings()
    };
    rig.handle.update(&with(1)).unwrap();
    let status = rig.monitor.status();
    assert_eq!((status.in_flight, status.limit, status.workers), (32, 1, 1));
    pause(1.0).await;
    for second in 0..5 {
        assert_eq!(rig.counts().sent.profiles, 32 + second);
        assert_eq!(rig.monitor.status().in_flight, 1);
        pause(1.0).await;
    }
    rig.handle.update(&with(64)).unwrap();
    pause(9.0).await;
    // A trial of a lower limit may be in progress.
    assert!(rig.monitor.status().in_flight >= 48);
    assert_eq!(rig.settled().await.sent.profiles, 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_replay_rate_changes_for_what_waits_already() {
    let with = |rate| Settings {
        replay_rate: NonZeroU64::new(rate),
        ..settings()
    };
    let rig = Rig::with(&with(1), Server::new(|_| Act::OK));
    for _ in 0..30 {
        rig.offer("app");
    }
    rig.consumer.fall_behind();
    pause(50.0).await;
    let sent = rig.counts().sent.profiles;
    assert_eq!(sent, 1, "the first of the backlog");
    rig.handle.update(&with(100)).unwrap();
    pause(10.0).await;
    let more = rig.counts().sent.profiles - sent;
    assert!((10..=12).contains(&more), "one a second: {more}");
    rig.handle.update(&settings()).unwrap();
    pause(0.1).await;
    assert_eq!(rig.counts().sent.profiles, 30);
}

#[tokio::test(start_paused = true)]
async fn records_expire_by_the_new_max_age() {
    let with = |max_age| Settings {
        max_age,
        ..settings()
    };
    let server = Server::with_door(|| false, |_| Act::OK);
    let rig = Rig::with(&with(Some(HOUR)), server);
    let expired = || rig.counts().dropped(Reason::Expired).profiles;
    for _ in 0..10 {
        rig.offer("old");
    }
    pause(60.0).await;
    rig.offer("young");
    let age = Duration::from_secs(30);
    rig.handle.update(&with(Some(age))).unwrap();
    pause(0.01).await;
    assert_eq!(expired(), 10);
    rig.handle.update(&with(None)).unwrap();
    pause(7_200.0).await;
    assert_eq!((expired(), rig.counts().pending.profiles), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_upload_is_judged_by_the_settings_with_which_it_began() {
    let rig = Rig::new(Server::new(|_| Act::Hang));
    rig.offer("app");
    pause(5.0).await;
    let drop = Settings {
        on_ambiguous: OnAmbiguous::Drop,
        ..settings()
    };
    rig.handle.update(&drop).unwrap();
    pause(5.1).await;
    assert_eq!(rig.counts().pending.profiles, 1, "retried");
    let counts = rig.settled().await;
    assert_eq!(counts.dropped(Reason::Ambiguous).profiles, 1);
    assert_eq!(rig.server.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_upload_keeps_the_timeout_with_which_it_began() {
    let rig = Rig::new(Server::new(|upload| match upload.index {
        0 => Act::Take(Duration::from_secs(8)),
        _ => Act::Hang,
    }));
    rig.offer("slow");
    pause(1.0).await;
    let short = Settings {
        timeout: Duration::from_secs(2),
        ..settings()
    };
    rig.handle.update(&short).unwrap();
    rig.offer("next");
    pause(2.5).await;
    let status = rig.monitor.status();
    let error = status.last_error.expect("the second has timed out");
    assert_eq!(error.text, "uploading took longer than 2s");
    assert_eq!(status.last_success, None);
    pause(5.0).await;
    assert_eq!(rig.counts().sent.profiles, 1);
}
