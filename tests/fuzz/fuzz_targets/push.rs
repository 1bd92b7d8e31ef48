//! A PushRequest: the first byte tells in which syntax the rest is.

#![no_main]

mod common;

use common::mirror::{Pairs, PushRequest};
use common::{read, tagged, tags};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use pyroscope_wire::{ProtobufFault, Surface, Undecodable};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'j', body)) => json(body),
        Some((_, body)) => proto(body),
        None => {}
    }
});

fn proto(body: &[u8]) {
    let again = |body: &[u8]| read(Surface::Push, "application/proto", body);
    let message = again(body);
    let rewritten = tagged(&message, again);
    // prost judges more, such as UTF-8 and the samples: what it takes, we take.
    let Ok(request) = PushRequest::decode(body) else {
        return;
    };
    let Some(rewritten) = rewritten else {
        let fault = message.tagged(&tags()).unwrap_err();
        assert!(matches!(
            fault,
            Undecodable::Protobuf(ProtobufFault::Group) | Undecodable::TooLarge { .. }
        ));
        return;
    };
    if let Ok(profiles) = message.profiles() {
        assert!(profiles.eq(request.raw_profiles()));
    }
    let tags = tags();
    let pairs: Vec<_> = tags.iter().collect();
    assert_eq!(
        PushRequest::decode(&rewritten[..]).unwrap(),
        request.upsert(&pairs)
    );
}

fn json(body: &[u8]) {
    let again = |body: &[u8]| read(Surface::Push, "application/json", body);
    let Some(rewritten) = tagged(&again(body), again) else {
        return;
    };
    let tags = tags();
    let pairs: Vec<_> = tags.iter().collect();
    // Depth and numbers have limits in a Value that they do not have in text.
    let Ok(value) = serde_json::from_slice(body) else {
        return;
    };
    let rewritten: Value = serde_json::from_slice(&rewritten).unwrap();
    assert_eq!(rewritten, upsert(value, &pairs));
}

fn upsert(mut request: Value, tags: &Pairs<'_>) -> Value {
    let Some(list) = request.get_mut("series").and_then(Value::as_array_mut) else {
        return request;
    };
    for series in list {
        let old = series["labels"].as_array().cloned().unwrap_or_default();
        let mut labels: Vec<_> = tags
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        labels.extend(old.into_iter().filter(|label| {
            let name = label
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            tags.iter().all(|(tag, _)| *tag != name)
        }));
        series["labels"] = labels.into();
    }
    request
}
