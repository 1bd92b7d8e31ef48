use bytes::Bytes;
use pyroscope_wire::gzip;
use pyrotee_queue::Budget;

use super::*;
use crate::content::tests::{PROTO, PUSH, content_of, packed, record_of, tags};

const ROOMY: u64 = 1 << 20;

/// A check for targets with these tags.
fn check(targets: &[&[(&str, &str)]]) -> ContentCheck {
    let tags: Vec<_> = targets.iter().map(|pairs| tags(pairs)).collect();
    ContentCheck::new(tags.iter().map(|tags| &**tags), 1)
}

const TAGGED: &[(&str, &str)] = &[("region", "eu")];
const UNTAGGED: &[(&str, &str)] = &[];

/// Bodies that can be sent to no target with tags, each with the start of the error that its client is sent.
fn unreadable(budget: &Arc<Budget>) -> Vec<(Arc<Record>, &'static str)> {
    let push = |kind: &[u8], coding, body: &[u8]| {
        record_of(Surface::Push, budget, kind, coding, body.to_vec())
    };
    let otlp = |kind: &[u8], coding, body: &[u8]| {
        record_of(Surface::Otlp, budget, kind, coding, body.to_vec())
    };
    let (json, grpc) = (b"application/json", b"application/grpc");
    let (gzip, zstd) = (Some(&b"gzip"[..]), Some(&b"zstd"[..]));
    let packed = packed(PUSH);
    vec![
        (push(PROTO, zstd, PUSH), "undo an unknown content coding"),
        (push(PROTO, Some(b"br"), PUSH), "undo an unknown"),
        (push(PROTO, gzip, PUSH), "unpack gzip"),
        (
            push(PROTO, gzip, &packed[..packed.len() - 1]),
            "unpack gzip",
        ),
        (push(PROTO, None, b"\x0a\xff\x01"), "read protobuf"),
        (push(PROTO, None, b"<html>"), "read protobuf"),
        (push(json, None, b"{\"series\":[{\"labels\":["), "read JSON"),
        (
            push(grpc, gzip, b"\0\0\0\0\x09short"),
            "read one gRPC message",
        ),
        (
            push(grpc, None, b"\x01\0\0\0\x01x"),
            "read one gRPC message",
        ),
        (push(grpc, gzip, b"\x01\0\0\0\x01x"), "unpack gzip"),
        (
            otlp(b"application/x-protobuf", zstd, b"x"),
            "undo an unknown",
        ),
        (
            otlp(b"application/x-protobuf", None, b"\x0a\x05x"),
            "read protobuf",
        ),
        (otlp(json, None, b"{"), "read JSON"),
    ]
}

#[tokio::test]
async fn a_body_is_refused_exactly_if_the_deliveries_to_all_targets_would_drop_it() {
    for targets in [
        &[TAGGED][..],
        &[TAGGED, &[("a", "b")]],
        &[TAGGED, UNTAGGED],
        &[UNTAGGED],
    ] {
        let (check, budget) = (check(targets), Budget::new(ROOMY));
        let readable = record_of(Surface::Push, &budget, PROTO, None, PUSH.to_vec());
        for (record, words) in unreadable(&budget).into_iter().chain([(readable, "")]) {
            let result = match check.check(&record) {
                Some(check) => check.await,
                None => Ok(()),
            };
            let mut sent = 0;
            for target in targets {
                sent += usize::from(content_of(&record, &tags(target)).await.is_ok());
            }
            assert_eq!(result.is_ok(), sent > 0, "{words} for {targets:?}");
            if let Err(unfit) = result {
                let expected = format!("unmarshal message: failed to {words}");
                let told = matches!(&unfit, Unfit::Unreadable(text) if text.starts_with(&expected));
                assert!(told, "{unfit:?} is not {expected}");
            }
        }
        assert_eq!(budget.recorded(), 0);
    }
}

#[tokio::test]
async fn what_need_not_be_read_has_no_check() {
    let budget = Budget::new(ROOMY);
    let ingest = record_of(Surface::Ingest, &budget, b"text/plain", None, b"x".to_vec());
    assert!(check(&[TAGGED]).check(&ingest).is_none());
    let push = record_of(Surface::Push, &budget, PROTO, Some(b"gzip"), packed(PUSH));
    assert!(check(&[UNTAGGED, TAGGED]).check(&push).is_none());
    assert!(check(&[TAGGED]).check(&push).is_some());
}

#[tokio::test]
async fn the_record_keeps_what_was_unpacked_while_memory_suffices() {
    for (other, kept) in [(0, PUSH.len() as u64), (ROOMY / 2 + 1, 0)] {
        let budget = Budget::new(ROOMY);
        let record = record_of(Surface::Push, &budget, PROTO, Some(b"gzip"), packed(PUSH));
        let other = budget.reserve(other).unwrap();
        let before = budget.recorded();
        check(&[TAGGED]).check(&record).unwrap().await.unwrap();
        assert_eq!(budget.recorded(), before + kept);
        drop(other);
        content_of(&record, &tags(TAGGED)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_shortage_is_waited_out_and_too_little_memory_is_not() {
    let tight = Budget::new(ROOMY);
    let record = record_of(Surface::Push, &tight, PROTO, Some(b"gzip"), packed(PUSH));
    let check = check(&[TAGGED]);
    let others = tight.try_workspace(tight.largest_workspace()).unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(check.check(&record).unwrap().await, Ok(()), "in doubt");
    assert_eq!(started.elapsed(), LIMIT);
    drop((others, record));

    for (most, unfit) in [(ROOMY / 4 + 1, true), (ROOMY / 8, false)] {
        let bomb = vec![0; usize::try_from(most).unwrap()];
        let bomb = gzip::compress(&[Bytes::from(bomb)]).to_vec();
        let record = record_of(Surface::Push, &tight, PROTO, Some(b"gzip"), bomb);
        let result = check.check(&record).unwrap().await;
        assert_eq!(result == Err(Unfit::TooLarge), unfit, "{result:?}");
    }
    let plain = vec![0; usize::try_from(ROOMY / 4 + 1).unwrap()];
    let record = record_of(Surface::Push, &tight, PROTO, None, plain);
    assert_eq!(check.check(&record).unwrap().await, Err(Unfit::TooLarge));
    drop(record);
    assert_eq!((tight.recorded(), tight.unpacking()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_begin_in_time_leaves_the_record_to_the_deliveries() {
    let (check, budget) = (check(&[TAGGED]), Budget::new(ROOMY));
    let busy = check.permits.acquire().await.unwrap();
    let record = record_of(Surface::Push, &budget, PROTO, None, b"<html>".to_vec());
    let started = tokio::time::Instant::now();
    assert_eq!(check.check(&record).unwrap().await, Ok(()));
    assert_eq!(started.elapsed(), LIMIT);
    drop(busy);
    assert!(check.check(&record).unwrap().await.is_err());
    assert_eq!(check.permits.available_permits(), 1, "it was given back");
}
