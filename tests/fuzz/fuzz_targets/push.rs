//! A PushRequest. The first byte of the input chooses protobuf or JSON.

#![no_main]

mod common;

use common::reference_model::{PushRequest, TagPairs, upsert_tags};
use common::{by_syntax, check_json, check_proto, tags};
use libfuzzer_sys::fuzz_target;
use pyroscope_wire::Surface;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| by_syntax(data, proto, json));

fn proto(body: &[u8]) {
    let tags = tags();
    let pairs: Vec<_> = tags.iter().collect();
    check_proto(
        Surface::Push,
        "application/proto",
        body,
        |message, request: PushRequest| {
            if let Ok(profiles) = message.profiles() {
                assert!(profiles.eq(request.raw_profiles()));
            }
            request.upsert(&pairs)
        },
    );
}

fn json(body: &[u8]) {
    let tags = tags();
    let pairs: Vec<_> = tags.iter().collect();
    check_json(Surface::Push, body, |request| upsert(request, &pairs));
}

fn upsert(mut request: Value, tags: &TagPairs<'_>) -> Value {
    let Some(list) = request.get_mut("series").and_then(Value::as_array_mut) else {
        return request;
    };
    for series in list {
        let mut labels = series["labels"].as_array().cloned().unwrap_or_default();
        let label = |name: &str, value: &str| json!({"name": name, "value": value});
        upsert_tags(&mut labels, tags, label, |label, key| {
            let name = label.get("name").and_then(Value::as_str);
            name.unwrap_or_default() == key
        });
        series["labels"] = labels.into();
    }
    request
}
