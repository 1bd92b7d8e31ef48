//! Changes after which the target may accept what it refused before.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use http::HeaderName;

use super::*;
use crate::{Credentials, TargetState};

fn with_token(token: &str) -> Settings {
    Settings {
        credentials: Some(Credentials::Bearer(token.into())),
        ..settings()
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_that_hang_at_the_old_address_end_there_and_new_ones_go_to_the_new_one() {
    let server = Server::new(|upload| match upload.host.as_str() {
        "old.example:80" => Act::Hang,
        _ => Act::OK,
    });
    let rig = Rig::with(&at("http://old.example:80"), server);
    for number in 0..40 {
        rig.offer(&format!("app{number}"));
    }
    pause(1.0).await;
    let change = Instant::now();
    rig.handle.update(&at("http://new.example:80")).unwrap();
    rig.offer("new");
    pause(0.1).await;
    // 32 of 64 is the first limit; they are still in flight.
    let counts = rig.counts();
    assert_eq!((counts.sent.profiles, counts.pending.profiles), (9, 32));
    assert_eq!(rig.settled().await.sent.profiles, 41);
    let took = change.elapsed();
    assert!(took < Duration::from_millis(9_300), "{took:?}");
    rig.server.seen(|seen| {
        let uploads = seen.uploads.iter();
        let old: Vec<_> = uploads.filter(|it| it.host.starts_with("old")).collect();
        assert_eq!(old.len(), 32);
        assert!(old.iter().all(|it| it.at < change));
    });
    let status = rig.monitor.status();
    assert_eq!((status.state, status.in_flight), (TargetState::Healthy, 0));
    rig.drained().await;
}

/// A target that answers all uploads with `refusal`, until the settings change to `new`: the change must end `state` at
/// once.
async fn ends_at_once(refusal: Act, state: TargetState, new: Settings) {
    let changed = Arc::new(AtomicBool::new(false));
    let is_changed = Arc::clone(&changed);
    let rig = Rig::new(Server::new(move |_| match is_changed.load(SeqCst) {
        true => Act::Take(Duration::from_millis(100)),
        false => refusal.clone(),
    }));
    for number in 0..40 {
        rig.offer(&format!("app{number}"));
        pause(0.5).await;
    }
    pause(100.0).await;
    let before = rig.server.names().len();
    assert_eq!(rig.monitor.status().state, state);
    changed.store(true, SeqCst);
    let change = Instant::now();
    rig.handle.update(&new).unwrap();
    assert_eq!(rig.monitor.status().state, TargetState::Healthy);
    pause(0.01).await;
    let first = rig.server.seen(|seen| {
        let uploads = seen.uploads.iter().skip(before);
        uploads.map(|upload| upload.at - change).collect::<Vec<_>>()
    });
    // One upload of an untried record, and one of a record that had failed.
    assert!((1..=2).contains(&first.len()), "{first:?}");
    assert!(first[0] < Duration::from_millis(5), "{first:?}");
    assert_eq!(rig.settled().await.sent.profiles, 40);
    let took = change.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn new_credentials_probe_a_suspended_surface_at_once() {
    let refusal = Act::answer(401, "who?");
    ends_at_once(refusal, TargetState::Suspended, with_token("new")).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_header_probes_a_suspended_surface_at_once() {
    let new = Settings {
        headers: vec![(HeaderName::from_static("x-key"), "new".into())],
        ..settings()
    };
    ends_at_once(Act::answer(404, "where?"), TargetState::Suspended, new).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_tenant_ends_a_pause_of_an_hour() {
    let refusal = Act::Answer {
        status: 429,
        headers: vec![("Retry-After", "3600".to_owned())],
        text: "enough".to_owned(),
    };
    let new = Settings {
        tenant: Some("other".to_owned()),
        ..settings()
    };
    ends_at_once(refusal, TargetState::Throttled, new).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_address_ends_an_outage() {
    let refusal = Act::answer(503, "later");
    ends_at_once(refusal, TargetState::Open, at("http://new.example")).await;
}

#[tokio::test(start_paused = true)]
async fn new_credentials_that_are_refused_too_are_tried_by_few() {
    let rig = Rig::new(Server::new(|_| Act::answer(401, "who?")));
    for number in 0..100 {
        rig.offer(&format!("app{number}"));
    }
    pause(100.0).await;
    let before = rig.server.names().len();
    rig.handle.update(&with_token("new")).unwrap();
    pause(25.0).await;
    let more = rig.server.names().len() - before;
    assert!(more <= 12, "{more}");
    assert_eq!(rig.monitor.status().state, TargetState::Suspended);
    assert_eq!(rig.counts().pending.profiles, 100);
}

#[tokio::test(start_paused = true)]
async fn another_tag_leaves_a_surface_suspended() {
    let rig = Rig::new(Server::new(|_| Act::answer(401, "who?")));
    for number in 0..100 {
        rig.offer(&format!("app{number}"));
    }
    pause(100.0).await;
    let tagged = Settings {
        tags: Tags::parse([("pod".to_owned(), "new".to_owned())]).unwrap(),
        ..settings()
    };
    let before = (rig.monitor.status(), rig.server.names().len());
    rig.handle.update(&tagged).unwrap();
    pause(0.0).await;
    assert_eq!(rig.monitor.status().state, TargetState::Suspended);
    assert_eq!(rig.server.names().len(), before.1);
}

#[tokio::test(start_paused = true)]
async fn equal_settings_touch_nothing() {
    let secret = || Settings {
        headers: vec![(HeaderName::from_static("x-key"), "secret".into())],
        ..with_token("secret")
    };
    let server = Server::new(|upload| match upload.index {
        0 => Act::OK,
        _ => Act::answer(401, "who?"),
    });
    let rig = Rig::with(&secret(), server);
    rig.offer("app");
    rig.settled().await;
    rig.handle.update(&secret()).unwrap();
    pause(0.1).await;
    assert_eq!((connects(&rig), rig.connections.open()), (1, 1));
    for number in 0..100 {
        rig.offer(&format!("app{number}"));
    }
    pause(20.0).await;
    let before = (rig.monitor.status(), rig.server.names().len());
    assert_eq!(before.0.state, TargetState::Suspended);
    rig.handle.update(&secret()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!((rig.monitor.status(), rig.server.names().len()), before);
}
