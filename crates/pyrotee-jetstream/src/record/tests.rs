use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Budget, Headers, Payload, SurfaceId};

use super::*;

const TAGS: &str = "region=eu,zone=ä";

fn record(body: Vec<u8>) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(3),
        query: "name=app{a=b}&from=1".into(),
        content_type: Some(b"multipart/form-data"[..].into()),
        content_encoding: None,
        headers: [("x-a", &b"1"[..])].into_iter().collect::<Headers>(),
        hops: 2,
        received: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_891),
        captor_tags: None,
    };
    let budget = Budget::new(1 << 20);
    let reservation = budget.reserve(body.len() as u64).unwrap();
    Record::new(head, Payload::from(body), reservation)
}

fn history() -> RetryHistory {
    RetryHistory {
        failures: 5,
        unknown_failures: 4,
        ambiguous_failures: 3,
        panics: 2,
        failures_while_healthy: 1,
        ..RetryHistory::default()
    }
}

#[test]
fn what_is_encoded_is_decoded_and_no_longer_than_announced() {
    for body in [Vec::new(), vec![7; 100_000]] {
        let record = record(body.clone());
        let bytes = encode(&record, TAGS, [9; 16], history());
        assert!(bytes.len() as u64 <= message_len(&record, TAGS));
        let decoded = decode(&bytes).unwrap();
        let head = Head {
            captor_tags: Some(TAGS.into()),
            ..record.head().clone()
        };
        assert_eq!(decoded.head, head);
        assert_eq!(decoded.body, body);
        assert_eq!((decoded.whose, decoded.history), ([9; 16], history()));
    }
}

#[test]
fn a_record_that_came_with_tags_keeps_them() {
    let head = Head {
        captor_tags: Some(TAGS.into()),
        ..record(Vec::new()).head().clone()
    };
    let reservation = Budget::new(1).reserve(0).unwrap();
    let record = Record::new(head, Payload::default(), reservation);
    let bytes = encode(&record, "region=us", [9; 16], history());
    assert!(bytes.len() as u64 <= message_len(&record, "region=us"));
    assert_eq!(&decode(&bytes).unwrap().head, record.head());
    let text = bytes.windows(TAGS.len());
    assert_eq!(text.filter(|it| *it == TAGS.as_bytes()).count(), 1, "once");
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = encode(&record(vec![1, 2, 3]), TAGS, [9; 16], history());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&flipped).unwrap_err(), Unreadable::Corrupt, "{bit}");
    }
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes[..len]).unwrap_err(), Unreadable::Corrupt);
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(decode(&longer).unwrap_err(), Unreadable::Corrupt);
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut newer = encode(&record(vec![1]), TAGS, [9; 16], history());
    newer[4] = 2;
    let crc = crc_of(&newer[..12], &newer[16..16 + FIXED_EXTENSION + TAGS.len()]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(decode(&newer).unwrap_err(), Unreadable::Newer(2));
}
