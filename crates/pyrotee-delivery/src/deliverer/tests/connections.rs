//! Tests of how long workers keep their connections.

use super::*;

const SECOND: Act = Act::Take(Duration::from_secs(1));

/// Offers `count` profiles at once and waits until the target has acknowledged them.
async fn taken(rig: &Rig, count: u64) {
    let before = rig.counts().sent.profiles;
    for _ in 0..count {
        rig.offer("app");
    }
    assert_eq!(rig.settled().await.sent.profiles, before + count);
}

fn connects(rig: &Rig) -> usize {
    rig.server.seen(|seen| seen.connects.len())
}

#[tokio::test(start_paused = true)]
async fn uploads_that_follow_each_other_share_one() {
    let rig = Rig::new(Server::new(|_| Act::OK));
    for _ in 0..10 {
        taken(&rig, 1).await;
    }
    assert_eq!((connects(&rig), rig.connections.open()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_as_were_busy_at_once() {
    let rig = Rig::new(Server::new(|_| SECOND));
    taken(&rig, 4).await;
    assert_eq!(connects(&rig), 4);
    taken(&rig, 4).await;
    taken(&rig, 2).await;
    assert_eq!((connects(&rig), rig.connections.open()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_long_is_closed() {
    let rig = Rig::new(Server::new(|_| SECOND));
    taken(&rig, 2).await;
    for _ in 0..2 {
        pause(15.0).await;
        taken(&rig, 1).await;
    }
    assert_eq!((connects(&rig), rig.connections.open()), (2, 1));
    pause(25.0).await;
    assert_eq!(rig.connections.open(), 0);
    taken(&rig, 1).await;
    assert_eq!(connects(&rig), 3);
}

#[tokio::test(start_paused = true)]
async fn a_target_does_not_wait_for_those_who_are_idle() {
    let rig = Rig::new(Server::new(|_| Act::OK));
    taken(&rig, 3).await;
    let (start, connections) = (Instant::now(), rig.connections.clone());
    rig.drained().await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_target_closes_is_replaced_without_a_failure() {
    let farewell = |status| Act::Answer {
        status,
        headers: vec![("Connection", "close".to_owned())],
        text: String::new(),
    };
    let rig = Rig::new(Server::new(move |_| farewell(200)));
    for _ in 0..3 {
        taken(&rig, 1).await;
        assert_eq!(rig.connections.open(), 0);
    }
    assert_eq!(connects(&rig), 3);
    assert_eq!(rig.server.names().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_gives_the_connection_up_as_well() {
    let rig = Rig::new(Server::new(|upload| match upload.index {
        0 => Act::OK,
        1 => Act::Hang,
        _ => SECOND,
    }));
    taken(&rig, 1).await;
    rig.offer("late");
    pause(12.0).await;
    assert_eq!(rig.settled().await.sent.profiles, 2);
    assert_eq!((connects(&rig), rig.connections.open()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_ends_after_the_upload_was_written_is_ambiguous() {
    for (on_ambiguous, dropped, kept) in [(OnAmbiguous::Retry, 0, 3), (OnAmbiguous::Drop, 1, 2)] {
        let settings = Settings {
            on_ambiguous,
            ..settings()
        };
        let server = Server::new(|upload| match upload.index {
            1 => Act::CloseAfterBody { keep: true },
            _ => Act::OK,
        });
        let rig = Rig::with(&settings, server);
        taken(&rig, 1).await;
        rig.offer("cut");
        let counts = rig.settled().await;
        assert_eq!(counts.dropped(Reason::Ambiguous).profiles, dropped);
        assert_eq!(counts.sent.profiles, 2 - dropped);
        assert_eq!(rig.server.seen(|seen| seen.kept.len()), kept);
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_ends_within_the_upload_is_replaced_without_a_failure() {
    let settings = Settings {
        on_ambiguous: OnAmbiguous::Drop,
        ..settings()
    };
    let server = Server::new(|upload| match upload.index {
        1 => Act::CloseWithinBody,
        _ => Act::OK,
    });
    let rig = Rig::with(&settings, server);
    taken(&rig, 1).await;
    let before = rig.monitor.status().attempts;
    // The body is larger than the buffer of a pipe.
    rig.offer_sized(Surface::Ingest, "large", 300_000);
    assert_eq!(rig.settled().await.sent.profiles, 2);
    assert_eq!(
        rig.monitor.status().attempts,
        before + 1,
        "in the same attempt"
    );
    assert_eq!(connects(&rig), 2);
}
