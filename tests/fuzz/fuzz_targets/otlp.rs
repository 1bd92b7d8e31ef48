//! An ExportProfilesServiceRequest. The first byte of the input chooses protobuf or JSON.

#![no_main]

mod common;

use common::reference_model::{ExportRequest, TagPairs, upsert_tags};
use common::{by_syntax, check_json, check_proto, tags};
use libfuzzer_sys::fuzz_target;
use pyroscope_wire::{Surface, Tags};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| by_syntax(data, proto, json));

fn proto(body: &[u8]) {
    let tags = tags();
    let pairs = attributes(&tags);
    check_proto(
        Surface::Otlp,
        "application/x-protobuf",
        body,
        |_message, request: ExportRequest| request.upsert(&pairs),
    );
}

fn json(body: &[u8]) {
    let tags = tags();
    let pairs = attributes(&tags);
    check_json(Surface::Otlp, body, |request| upsert(request, &pairs));
}

/// The tags as they are sent in OTLP, in their order: there `service_name` is called `service.name`.
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

fn upsert(mut request: Value, tags: &TagPairs<'_>) -> Value {
    let table: Vec<_> = both(&request["dictionary"], "stringTable", "string_table").collect();
    let table: Vec<_> = table.into_iter().cloned().collect();
    let app = tags.iter().find(|(key, _)| *key == "service.name");
    if let (Some((_, app)), Some(dictionary)) = (app, request.get_mut("dictionary")) {
        for name in ["attributeTable", "attribute_table"] {
            let entries = dictionary.get_mut(name).and_then(Value::as_array_mut);
            for entry in entries.into_iter().flatten() {
                if key(entry, &table) == "service.name" {
                    entry["value"] = json!({"stringValue": app});
                }
            }
        }
    }
    for name in ["resourceProfiles", "resource_profiles"] {
        let Some(list) = request.get_mut(name).and_then(Value::as_array_mut) else {
            continue;
        };
        for profiles in list {
            let old = profiles["resource"]["attributes"].as_array().cloned();
            let mut attributes = old.unwrap_or_default();
            let attribute =
                |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
            upsert_tags(&mut attributes, tags, attribute, |attribute, tag| {
                key(attribute, &table) == tag
            });
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
