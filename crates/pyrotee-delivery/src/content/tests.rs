use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use pyroscope_wire::message::Message;
use pyroscope_wire::{Coding, Encoding, Surface, Tags, gzip};
use pyrotee_queue::{Budget, Head, Headers, Payload, Reason, Record, SurfaceId};

use super::Content;

pub(super) const PROTO: &[u8] = b"application/proto";

/// One series with the label `a=b` and a profile of four bytes.
pub(super) const PUSH: &[u8] =
    b"\x0a\x10\x0a\x06\x0a\x01a\x12\x01b\x12\x06\x0a\x04\x01\x02\x03\x04";

fn record(
    budget: &Arc<Budget>,
    content_type: &[u8],
    coding: Option<&[u8]>,
    body: Vec<u8>,
) -> Arc<Record> {
    record_of(Surface::Push, budget, content_type, coding, body)
}

pub(super) fn record_of(
    surface: Surface,
    budget: &Arc<Budget>,
    content_type: &[u8],
    coding: Option<&[u8]>,
    body: Vec<u8>,
) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(surface.id()),
        query: "".into(),
        content_type: Some(content_type.into()),
        content_encoding: coding.map(Into::into),
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::UNIX_EPOCH,
    };
    let reservation = budget
        .reserve(body.len() as u64)
        .expect("the budget suffices");
    Record::new(head, Payload::from(body), reservation)
}

pub(super) fn tags(pairs: &[(&str, &str)]) -> Arc<Tags> {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Arc::new(Tags::parse(pairs).unwrap())
}

pub(super) fn packed(bytes: &'static [u8]) -> Vec<u8> {
    gzip::compress(&[Bytes::from_static(bytes)]).to_vec()
}

/// The labels of the first series of what is sent.
fn labels(content: &Content) -> Vec<(String, String)> {
    let encoding = Encoding::of(Surface::Push, Some(PROTO)).unwrap();
    let coding = Coding::of(
        content
            .content_encoding
            .as_ref()
            .map(|value| value.as_bytes()),
    );
    let message = Message::read(encoding, coding.unwrap(), &content.body, 1 << 20).unwrap();
    message.describe().unwrap().labels
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn what_came_packed_goes_out_packed_once_for_each_set_of_tags() {
    let budget = Budget::new(1 << 20);
    let record = record(&budget, PROTO, Some(b"gzip"), packed(PUSH));
    let (eu, us) = (tags(&[("region", "eu")]), tags(&[("region", "us")]));
    let first = Content::of(&record, &eu).await.unwrap();
    assert_eq!(first.content_encoding.as_ref().unwrap(), "gzip");
    assert_eq!(first.content_type.as_ref().unwrap(), "application/proto");
    assert_eq!(labels(&first), pairs(&[("a", "b"), ("region", "eu")]));

    let other = Content::of(&record, &us).await.unwrap();
    assert_eq!(labels(&other), pairs(&[("a", "b"), ("region", "us")]));
    let same = Content::of(&record, &tags(&[("region", "eu")]))
        .await
        .unwrap();
    assert_eq!(
        same.body[0].as_ptr(),
        first.body[0].as_ptr(),
        "shared, not made again"
    );

    drop(record);
    assert_eq!((budget.recorded(), budget.receiving()), (0, 0));
}

#[tokio::test]
async fn without_tags_the_bytes_go_out_as_they_came() {
    let budget = Budget::new(1 << 20);
    let body = packed(b"\x01 no message at all, and nobody looks");
    let record = record(&budget, PROTO, Some(b"GZIP"), body.clone());
    let content = Content::of(&record, &tags(&[])).await.unwrap();
    assert_eq!(content.body.concat(), body);
    assert_eq!(content.content_encoding.unwrap(), "GZIP");
    assert_eq!(
        content.body[0].as_ptr(),
        record.body().frames()[0].as_ptr(),
        "not copied"
    );
}

#[tokio::test]
async fn a_grpc_call_goes_out_as_connect() {
    let budget = Budget::new(1 << 20);
    let length = u8::try_from(PUSH.len()).unwrap();
    let frame = [&[0, 0, 0, 0, length], PUSH].concat();
    let record = record(&budget, b"application/grpc", Some(b"gzip"), frame);
    for wanted in [tags(&[]), tags(&[("region", "eu")])] {
        let content = Content::of(&record, &wanted).await.unwrap();
        assert_eq!(content.content_type.as_ref().unwrap(), "application/proto");
        assert_eq!(content.content_encoding, None, "the frame was not packed");
        assert!(labels(&content).contains(&("a".to_owned(), "b".to_owned())));
    }
}

#[tokio::test]
async fn the_headers_of_the_surface_go_out_with_the_body_and_no_others() {
    let budget = Budget::new(1 << 20);
    let version = "otlp-profiles-development-version";
    for (surface, sent) in [(Surface::Otlp, 1), (Surface::Push, 0), (Surface::Ingest, 0)] {
        let head = Head {
            surface: SurfaceId(surface.id()),
            query: "name=a".into(),
            content_type: Some((*b"application/json").into()),
            content_encoding: None,
            headers: [("authorization", &b"secret"[..]), (version, b"2")]
                .into_iter()
                .collect(),
            hops: 0,
            received: SystemTime::UNIX_EPOCH,
        };
        let reservation = budget.reserve(2).expect("the budget suffices");
        let record = Record::new(head, Payload::from(b"{}".to_vec()), reservation);
        for wanted in [tags(&[]), tags(&[("region", "eu")])] {
            let content = Content::of(&record, &wanted).await.unwrap();
            let names: Vec<_> = content
                .headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, vec![version; sent], "{surface:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_lost_for_targets_with_tags_alone() {
    let budget = Budget::new(1 << 20);
    for (coding, body) in [
        (Some(&b"zstd"[..]), b"x".to_vec()),
        (Some(b"gzip"), b"not gzip".to_vec()),
        (None, b"\x0a\xff".to_vec()),
    ] {
        let record = record(&budget, PROTO, coding, body);
        let lost = Content::of(&record, &tags(&[("a", "b")]))
            .await
            .unwrap_err();
        assert_eq!(lost, Reason::Undecodable);
    }
    assert_eq!(budget.recorded(), 0);
}

#[tokio::test]
async fn a_bomb_takes_no_more_than_the_budget_grants() {
    let bomb = gzip::compress(&[Bytes::from(vec![0; 80 << 20])]).to_vec();
    let roomy = Budget::new(200 << 20);
    let first = record(&roomy, PROTO, Some(b"gzip"), bomb.clone());
    let lost = Content::of(&first, &tags(&[("a", "b")])).await.unwrap_err();
    assert_eq!(lost, Reason::Undecodable, "larger than any message");

    let tight = Budget::new(1 << 20);
    let second = record(&tight, PROTO, Some(b"gzip"), bomb);
    let lost = Content::of(&second, &tags(&[("a", "b")]))
        .await
        .unwrap_err();
    assert_eq!(lost, Reason::Budget);
}
