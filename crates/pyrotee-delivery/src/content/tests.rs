use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use pyroscope_wire::message::Message;
use pyroscope_wire::{Coding, Encoding, Surface, Tags, gzip};
use pyrotee_queue::{Budget, Head, Headers, Payload, Reason, Record, SurfaceId};

use tokio::sync::Semaphore;

use super::{Content, Prepared};

pub(super) const PROTO: &[u8] = b"application/proto";

/// One series with the label `a=b` and a profile of four bytes.
pub(super) const PUSH: &[u8] =
    b"\x0a\x10\x0a\x06\x0a\x01a\x12\x01b\x12\x06\x0a\x04\x01\x02\x03\x04";

/// The content for a target for which one body is rewritten at a time.
async fn prepared(record: &Arc<Record>, tags: &Arc<Tags>) -> Result<Prepared, Reason> {
    Content::of(record, tags, &Arc::new(Semaphore::new(1))).await
}

pub(super) async fn content_of(record: &Arc<Record>, tags: &Arc<Tags>) -> Result<Content, Reason> {
    prepared(record, tags).await.map(|(content, _use)| content)
}

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
        captor_tags: None,
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

/// The labels of the first series of the message that is sent.
fn labels(content: &Content) -> Vec<(String, String)> {
    let encoding = Encoding::of(Surface::Push, Some(PROTO)).unwrap();
    let coding = Coding::of(
        content
            .content_encoding
            .as_ref()
            .map(|value| value.as_bytes()),
    );
    let message = Message::read(encoding, coding.unwrap(), &content.body, 64 << 20).unwrap();
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
    let (first, body_use) = prepared(&record, &eu).await.unwrap();
    assert_eq!(first.content_encoding.as_ref().unwrap(), "gzip");
    assert_eq!(first.content_type.as_ref().unwrap(), "application/proto");
    assert_eq!(labels(&first), pairs(&[("a", "b"), ("region", "eu")]));

    let other = content_of(&record, &us).await.unwrap();
    assert_eq!(labels(&other), pairs(&[("a", "b"), ("region", "us")]));
    let same = content_of(&record, &tags(&[("region", "eu")]))
        .await
        .unwrap();
    assert_eq!(
        same.body[0].as_ptr(),
        first.body[0].as_ptr(),
        "shared, not made again"
    );

    drop(body_use);
    assert_eq!(budget.recorded(), record.len(), "no upload uses them");
    drop(record);
    assert_eq!((budget.recorded(), budget.receiving()), (0, 0));
}

#[tokio::test]
async fn without_tags_the_bytes_go_out_as_they_came() {
    let budget = Budget::new(1 << 20);
    let body = packed(b"\x01 no message at all, and nobody looks");
    let record = record(&budget, PROTO, Some(b"GZIP"), body.clone());
    let content = content_of(&record, &tags(&[])).await.unwrap();
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
        let content = content_of(&record, &wanted).await.unwrap();
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
            captor_tags: None,
        };
        let reservation = budget.reserve(2).expect("the budget suffices");
        let record = Record::new(head, Payload::from(b"{}".to_vec()), reservation);
        for wanted in [tags(&[]), tags(&[("region", "eu")])] {
            let content = content_of(&record, &wanted).await.unwrap();
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
        let lost = content_of(&record, &tags(&[("a", "b")])).await.unwrap_err();
        assert_eq!(lost, Reason::Undecodable);
    }
    assert_eq!(budget.recorded(), 0);
}

#[tokio::test]
async fn a_bomb_takes_no_more_than_the_budget_grants() {
    let bomb = gzip::compress(&[Bytes::from(vec![0; 80 << 20])]).to_vec();
    let roomy = Budget::new(256 << 20);
    let first = record(&roomy, PROTO, Some(b"gzip"), bomb.clone());
    let lost = content_of(&first, &tags(&[("a", "b")])).await.unwrap_err();
    assert_eq!(lost, Reason::Undecodable, "larger than any message");

    let tight = Budget::new(1 << 20);
    let second = record(&tight, PROTO, Some(b"gzip"), bomb);
    let lost = content_of(&second, &tags(&[("a", "b")])).await.unwrap_err();
    assert_eq!(lost, Reason::TooLarge);
}

/// One series whose profile has `length` bytes that hardly compress.
fn push_of(length: usize) -> Vec<u8> {
    let mut noise = 1_u32;
    let profile = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    });
    let profile: Vec<u8> = profile.take(length).collect();
    let field = |number: u8, value: &[u8]| {
        let mut field = vec![number << 3 | 2];
        let mut rest = value.len();
        while rest >= 128 {
            field.push(u8::try_from(rest & 127).unwrap() | 128);
            rest >>= 7;
        }
        field.push(u8::try_from(rest).unwrap());
        field.extend_from_slice(value);
        field
    };
    let label = field(1, &[field(1, b"a"), field(2, b"b")].concat());
    let sample = field(2, &field(1, &profile));
    field(1, &[label, sample].concat())
}

#[tokio::test]
async fn a_body_is_packed_within_its_workspace_if_the_records_leave_no_room() {
    let budget = Budget::new(1 << 20);
    let push = push_of(180_000);
    let body = gzip::compress(&[Bytes::from(push)]).to_vec();
    assert!(body.len() > 170_000, "packed and unpacked exceed a quarter");
    let record = record(&budget, PROTO, Some(b"gzip"), body);
    let full = budget.reserve(budget.most_held() - record.len()).unwrap();
    let (content, body_use) = prepared(&record, &tags(&[("region", "eu")])).await.unwrap();
    assert_eq!(labels(&content), pairs(&[("a", "b"), ("region", "eu")]));
    let held = budget.unpacking();
    let sent: usize = content.body.iter().map(Bytes::len).sum();
    assert_eq!(held, (sent as u64).div_ceil(1024) * 1024);
    drop(body_use);
    assert_eq!(budget.unpacking(), 0);
    drop((record, full));
    assert_eq!(budget.recorded(), 0);
}

#[tokio::test]
async fn bodies_of_every_length_that_fits_pass_and_others_are_too_large() {
    let budget = Budget::new(1 << 20);
    let most = usize::try_from(budget.largest_workspace()).unwrap();
    for (length, fits) in [
        (10, true),
        (most / 2, true),
        (most - 2_000, true),
        (most, false),
    ] {
        let push = push_of(length);
        for coding in [None, Some(&b"gzip"[..])] {
            let body = match coding {
                None => push.clone(),
                Some(_) => gzip::compress(&[Bytes::from(push.clone())]).to_vec(),
            };
            let record = record(&budget, PROTO, coding, body);
            let content = content_of(&record, &tags(&[("region", "eu")])).await;
            match content {
                Ok(content) => assert_eq!(labels(&content).len(), 2),
                Err(reason) => assert_eq!(reason, Reason::TooLarge),
            }
            let again = content_of(&record, &tags(&[("region", "eu")])).await;
            assert_eq!(again.is_ok(), fits, "{length} {coding:?}");
        }
    }
    assert_eq!((budget.recorded(), budget.unpacking()), (0, 0));
}

#[tokio::test]
async fn a_series_of_many_labels_grows_the_workspace_as_it_needs() {
    let budget = Budget::new(64 << 20);
    let series = PUSH.repeat(10_000);
    let long = "x".repeat(200);
    let wanted = tags(&[("region", long.as_str()), ("zone", &long)]);
    let record = record(&budget, PROTO, None, series);
    let content = content_of(&record, &wanted).await.unwrap();
    assert!(content.body.len() > 10_000);
    assert_eq!(labels(&content).len(), 3);
    assert_eq!(budget.unpacking(), 0, "the records have room");
    drop((content, record));
    assert_eq!(budget.recorded(), 0);
}

#[tokio::test]
async fn a_body_stays_for_the_retry_of_its_upload_only_while_memory_is_not_scarce() {
    let eu = tags(&[("region", "eu")]);
    for (scarce, kept) in [(false, true), (true, false)] {
        let budget = Budget::new(1 << 20);
        let record = record(&budget, PROTO, Some(b"gzip"), packed(PUSH));
        let before = budget.recorded();
        let (content, body_use) = prepared(&record, &eu).await.unwrap();
        let body_use = body_use.unwrap();
        let _others = scarce.then(|| budget.reserve(budget.most_held() / 2).unwrap());
        let others = budget.recorded() - content.body[0].len() as u64 - before;
        body_use.clone().keep_for_retry(&record);
        drop(body_use);
        assert_eq!(budget.recorded() > before + others, kept);
        let again = prepared(&record, &eu).await.unwrap();
        let is_same = again.0.body[0].as_ptr() == content.body[0].as_ptr();
        assert_eq!(is_same, kept);
        drop(again);
        assert_eq!(budget.recorded(), before + others, "its last use");
    }
}

#[tokio::test]
async fn bodies_that_are_chosen_to_be_expensive_end_soon() {
    let eu = tags(&[("region", "eu")]);
    let json: &[u8] = b"application/json";
    let otlp = |text: String| (Surface::Otlp, json, None, text.into_bytes());
    let members = gzip::compress(&[]).repeat(400_000);
    let long = "y".repeat(1 << 20);
    let by_index = r#"{"keyStrindex":0},"#.repeat(20_000);
    for (what, (surface, kind, coding, body)) in [
        (
            "empty members",
            (Surface::Push, PROTO, Some(&b"gzip"[..]), members),
        ),
        (
            "empty series",
            (
                Surface::Push,
                json,
                None,
                format!("{{\"series\":[{}{{}}]}}", "{},".repeat(2_500_000)).into(),
            ),
        ),
        (
            "empty series in protobuf",
            (Surface::Push, PROTO, None, b"\x0a\x00".repeat(4_000_000)),
        ),
        (
            "empty labels",
            (
                Surface::Push,
                json,
                None,
                format!(
                    "{{\"series\":[{{\"labels\":[{}{{}}]}}]}}",
                    "{},".repeat(2_500_000)
                )
                .into(),
            ),
        ),
        (
            "members of an object",
            otlp(format!("{{{}\"a\":0}}", "\"a\":0,".repeat(1_000_000))),
        ),
        (
            "attributes that share a long key",
            otlp(format!(
                "{{\"resourceProfiles\":[{{\"resource\":{{\"attributes\":[{by_index}{{}}]}}}}],\
                 \"dictionary\":{{\"stringTable\":[\"{long}\"]}}}}"
            )),
        ),
        (
            "empty strings",
            otlp(format!(
                "{{\"resourceProfiles\":[{{\"resource\":{{\"attributes\":[{{\"keyStrindex\":0}}]}}}}],\
             \"dictionary\":{{\"stringTable\":[{}\"\"]}}}}",
                "\"\",".repeat(2_500_000)
            )),
        ),
    ] {
        let budget = Budget::new(64 << 20);
        let record = record_of(surface, &budget, kind, coding, body);
        let started = std::time::Instant::now();
        let made = content_of(&record, &eu).await;
        // An optimised build takes a fraction of a second.
        assert!(started.elapsed().as_secs() < 20, "{what}");
        assert_eq!(
            made.is_ok(),
            what == "attributes that share a long key",
            "{what}"
        );
    }
}
