//! Tests that waits for memory before an upload, and panics, do not count against the target.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pyroscope_wire::gzip;

use super::*;
use crate::TargetState;

/// One series with the label `a=b` and a profile of four bytes, compressed.
fn packed_push() -> Vec<u8> {
    let push = b"\x0a\x10\x0a\x06\x0a\x01a\x12\x01b\x12\x06\x0a\x04\x01\x02\x03\x04";
    gzip::compress(&[bytes::Bytes::from_static(push)]).to_vec()
}

fn tagged() -> Settings {
    let pair = ("region".to_owned(), "eu".to_owned());
    Settings {
        tags: Tags::parse([pair]).unwrap(),
        ..settings()
    }
}

impl Rig {
    /// Offers a record whose body is rewritten if the target has tags.
    pub(super) fn offer_push(&self) {
        let head = Head {
            surface: SurfaceId(Surface::Push.id()),
            query: "".into(),
            content_type: Some((*b"application/proto").into()),
            content_encoding: Some((*b"gzip").into()),
            headers: Headers::default(),
            hops: 0,
            received: self.clock.now(),
            captor_tags: None,
        };
        let body = packed_push();
        let reservation = self.budget.reserve(body.len() as u64).expect("it suffices");
        let record = Record::new(head, Payload::from(body), reservation);
        let producer = self.producer.as_ref().expect("the rig is not drained yet");
        assert!(producer.offer(&record).queued > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_memory_is_not_on_the_clock_of_the_target() {
    let rig = Rig::with(&tagged(), Server::new(|_| Act::OK));
    let all = rig.budget.largest_workspace();
    let others = rig.budget.try_workspace(all).unwrap();
    for _ in 0..10 {
        rig.offer_push();
    }
    let before = rig.monitor.status().limit;
    // Ten times the timeout of an upload.
    pause(100.0).await;
    assert_eq!(rig.counts().pending.profiles, 10);
    assert_eq!(rig.server.seen(|seen| seen.connects.len()), 0);
    // A profile that needs no workspace is sent meanwhile.
    rig.offer("other");
    pause(1.0).await;
    assert_eq!(rig.counts().sent.profiles, 1);
    drop(others);
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 11);
    let status = rig.monitor.status();
    assert_eq!(status.state, TargetState::Healthy);
    assert_eq!(status.last_error, None);
    assert!(status.limit >= before, "no push-back, and no latency");
    assert_eq!(rig.budget.unpacking(), 0);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_back_no_other_that_has_bodies_rewritten() {
    let servers = [Server::new(|_| Act::Hang), Server::new(|_| Act::OK)];
    let [hung, healthy] = Rig::side_by_side(&tagged(), servers, LIMITS);
    let _records_leave_no_room = hung.budget.reserve(hung.budget.most_held() - 10_000);
    for _ in 0..8 {
        hung.offer_push();
        pause(1.0).await;
    }
    assert_eq!(healthy.counts().sent.profiles, 8);
    assert_eq!(hung.counts().pending.profiles, 8);
    hung.stop.cancel();
    healthy.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_upload_panics_is_tried_again_later_and_dropped_after_the_third_time() {
    let panics = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&panics);
    let door = move || {
        let panics = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        assert!(panics.is_err(), "the connector\nbroke");
        true
    };
    let server = Server::with_door(door, |_| Act::OK);
    let rig = Rig::new(server);
    let started = Instant::now();
    rig.offer("twice");
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 1, "the third try passes");
    assert!(started.elapsed() > Duration::from_millis(1), "with pauses");
    assert_eq!(rig.monitor.status().state, TargetState::Healthy);

    // After this pause the idle connection is closed, so that the next upload calls `door`.
    pause(60.0).await;
    panics.store(3, SeqCst);
    rig.offer("thrice");
    let counts = rig.settled().await;
    assert_eq!(counts.dropped(Reason::Undecodable).profiles, 1);
    let letters = rig.dead_letters.lock().unwrap().clone();
    let expected = "central name=thrice Undecodable after 3: None the upload panicked 3 times: the connector broke";
    assert_eq!(letters, [expected]);
    assert_eq!(rig.monitor.status().state, TargetState::Healthy);
    rig.offer("next");
    assert_eq!(rig.settled().await.sent.profiles, 2);
    rig.drained().await;
}
