//! An ExportProfilesServiceRequest: the first byte tells in which syntax the rest is.

#![no_main]

mod common;

use common::mirror::{ExportRequest, Pairs};
use common::{read, tagged, tags};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use pyroscope_wire::{ProtobufFault, Surface, Tags, Undecodable};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'j', body)) => json(body),
        Some((_, body)) => proto(body),
        None => {}
    }
});

fn proto(body: &[u8]) {
    let again = |body: &[u8]| read(Surface::Otlp, "application/x-protobuf", body);
    let message = again(body);
    let rewritten = tagged(&message, again);
    let Ok(request) = ExportRequest::decode(body) else {
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
    let tags = tags();
    let pairs = attributes(&tags);
    assert_eq!(
        ExportRequest::decode(&rewritten[..]).unwrap(),
        request.upsert(&pairs)
    );
}

fn json(body: &[u8]) {
    let again = |body: &[u8]| read(Surface::Otlp, "application/json", body);
    let Some(rewritten) = tagged(&again(body), again) else {
        return;
    };
    let Ok(value) = serde_json::from_slice(body) else {
        return;
    };
    let rewritten: Value = serde_json::from_slice(&rewritten).unwrap();
    let tags = tags();
    let pairs = attributes(&tags);
    assert_eq!(rewritten, upsert(value, &pairs));
}

/// The tags as they are sent in OTLP: the name of the application has another key there. The order
/// is that of the tags.
fn attributes(tags: &Tags) -> Vec<(&str, &str)> {
    let attribute = |key| {
        if key == "service_name" {
            "service.name"
        } else {
            key
        }
    };
    tags.iter()
        .map(|(key, value)| (attribute(key), value))
        .collect()
}

fn upsert(mut request: Value, tags: &Pairs<'_>) -> Value {
    let table: Vec<_> = both(&request["dictionary"], "stringTable", "string_table").collect();
    let table: Vec<_> = table.into_iter().cloned().collect();
    for name in ["resourceProfiles", "resource_profiles"] {
        let Some(list) = request.get_mut(name).and_then(Value::as_array_mut) else {
            continue;
        };
        for profiles in list {
            let old = profiles["resource"]["attributes"].as_array().cloned();
            let mut attributes: Vec<_> = tags
                .iter()
                .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
                .collect();
            attributes.extend(old.unwrap_or_default().into_iter().filter(|attribute| {
                let key = key(attribute, &table);
                tags.iter().all(|(tag, _)| *tag != key)
            }));
            profiles["resource"]["attributes"] = attributes.into();
        }
    }
    request
}

fn key(attribute: &Value, table: &[Value]) -> String {
    let own = attribute
        .get("key")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let index = ["keyStrindex", "key_strindex"]
        .iter()
        .filter_map(|name| attribute.get(name).filter(|value| !value.is_null()))
        .map(|value| value.to_string().trim_matches('"').to_owned())
        .next();
    let entry = index
        .and_then(|index| index.parse::<usize>().ok())
        .and_then(|index| table.get(index))
        .and_then(Value::as_str);
    match own {
        "" => entry.unwrap_or_default().to_owned(),
        own => own.to_owned(),
    }
}

fn both<'a>(value: &'a Value, camel: &str, snake: &str) -> impl Iterator<Item = &'a Value> {
    let list = |name| {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    list(camel).chain(list(snake))
}
