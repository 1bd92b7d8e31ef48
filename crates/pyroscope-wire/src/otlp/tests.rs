use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use crate::encoding::{Coding, Encoding};
use crate::message::Message;
use crate::reference_model::{
    Any, Attribute, Dictionary, ExportRequest, Resource, ResourceProfiles, TableEntry, TagPairs,
    assert_not_copied,
};
use crate::undecodable::{ProtobufFault, Undecodable};
use crate::{Surface, Tags};

const STRINGS: &[&str] = &["", "env", "other", "service.name"];

fn message(content_type: &str, body: impl Into<Bytes>) -> Message {
    let encoding = Encoding::of(Surface::Otlp, Some(content_type.as_bytes())).unwrap();
    Message::read(encoding, Coding::Identity, &[body.into()], 1 << 20).unwrap()
}

fn proto(body: impl Into<Bytes>) -> Message {
    message("application/x-protobuf", body)
}

fn json(body: impl Into<Bytes>) -> Message {
    message("application/json", body)
}

fn some_tags() -> Tags {
    Tags::parse([("env", "new"), ("z", "")].map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap()
}

/// Tags with the name of the application among them, and the keys and values that are sent for these tags.
fn app_tags() -> (Tags, Vec<(&'static str, &'static str)>) {
    let tags = [("env", "new"), ("service_name", "shop")];
    let tags = Tags::parse(tags.map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap();
    (tags, vec![("env", "new"), ("service.name", "shop")])
}

fn requests() -> impl Strategy<Value = ExportRequest> {
    let any_value = (prop::option::of(".{0,3}"), prop::option::of(any::<i64>()))
        .prop_map(|(string, int)| Any { string, int });
    let entry = (-1..6_i32, prop::option::of(any_value.clone()), 0..3_i32);
    let entry = entry.prop_map(|(key_index, value, unit_index)| TableEntry {
        key_index,
        value,
        unit_index,
    });
    let key = prop::sample::select(vec!["", "", "env", "z", "service.name", "b"]);
    let attribute =
        (key, prop::option::of(any_value), -1..6_i32).prop_map(|(key, value, key_index)| {
            Attribute {
                key: key.to_owned(),
                value,
                key_index,
            }
        });
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let resource = (
        prop::collection::vec(attribute, 0..5),
        any::<u32>(),
        bytes(),
    )
        .prop_map(|(attributes, dropped, unknown_bytes)| Resource {
            attributes,
            dropped,
            unknown_bytes,
        });
    let profiles = (
        prop::option::of(resource),
        prop::collection::vec(bytes(), 0..3),
        "[a-z]{0,4}",
    )
        .prop_map(|(resource, scopes, schema_url)| ResourceProfiles {
            resource,
            scopes,
            schema_url,
        });
    let strings: Vec<_> = STRINGS.iter().map(|&string| string.to_owned()).collect();
    let dictionary = (
        prop::collection::vec(entry, 0..4),
        prop::collection::vec(bytes(), 0..2),
    )
        .prop_map(move |(attributes, stacks)| Dictionary {
            strings: strings.clone(),
            attributes,
            stacks,
        });
    (
        prop::collection::vec(profiles, 0..4),
        prop::option::of(dictionary),
    )
        .prop_map(|(profiles, dictionary)| ExportRequest {
            profiles,
            dictionary,
        })
}

#[test]
fn the_name_of_the_application_is_sent_under_the_key_that_pyroscope_reads() {
    let tags = [("service_name".to_owned(), "shop".to_owned())];
    let tags = Tags::parse(tags).unwrap();
    let resource = |app: &str| {
        json!({"resourceProfiles": [{"resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": app}}
        ]}}]})
    };
    let pieces = json(resource("old").to_string())
        .tagged(&tags)
        .unwrap()
        .concat();
    assert_eq!(
        serde_json::from_slice::<Value>(&pieces).unwrap(),
        resource("shop")
    );
}

proptest! {
    #[test]
    fn tagging_is_an_upsert_that_copies_no_profile(request in requests()) {
        let tags = some_tags();
        let pairs: Vec<_> = tags.iter().collect();
        let (tags_with_app, pairs_with_app) = app_tags();
        for (tags, pairs) in [(&tags, &pairs), (&tags_with_app, &pairs_with_app)] {
            check_proto(&request, tags, pairs);
        }
    }

    #[test]
    fn in_json_too(request in requests(), pretty: bool, snake: bool) {
        let tags = some_tags();
        let pairs: Vec<_> = tags.iter().collect();
        let (tags_with_app, pairs_with_app) = app_tags();
        for (tags, pairs) in [(&tags, &pairs), (&tags_with_app, &pairs_with_app)] {
            check_json(&request, tags, pairs, pretty, snake);
        }
    }

    #[test]
    fn any_bytes_are_tagged_or_refused(body in prop::collection::vec(any::<u8>(), 0..40)) {
        for message in [proto(body.clone()), json(body)] {
            prop_assert!(message.tagged(&some_tags()).is_ok() || message.describe().is_err());
        }
    }
}

fn check_proto(request: &ExportRequest, tags: &Tags, pairs: &TagPairs<'_>) {
    let message = proto(request.encode_to_vec());
    let pieces = message.tagged(tags).unwrap();
    let tagged = pieces.concat();
    assert_not_copied(message.profiles().unwrap(), &pieces);
    assert_eq!(
        ExportRequest::decode(&tagged[..]).unwrap(),
        request.clone().upsert(pairs)
    );
    let tagged = proto(tagged);
    assert!(tagged.profiles().unwrap().eq(message.profiles().unwrap()));
    assert_eq!(&tagged.tagged(tags).unwrap().concat(), tagged.bytes());
}

fn check_json(
    request: &ExportRequest,
    tags: &Tags,
    pairs: &TagPairs<'_>,
    pretty: bool,
    snake: bool,
) {
    let value = to_json(request, snake);
    let text = if pretty {
        format!("{value:#}")
    } else {
        value.to_string()
    };
    let message = json(text);
    let pieces = message.tagged(tags).unwrap();
    assert_not_copied(message.profiles().unwrap(), &pieces);
    let tagged = json(pieces.concat());
    assert!(tagged.profiles().unwrap().eq(message.profiles().unwrap()));
    let tagged: Value = serde_json::from_slice(tagged.bytes()).unwrap();
    assert_eq!(tagged, to_json(&request.clone().upsert(pairs), snake));
}

fn to_json(request: &ExportRequest, snake: bool) -> Value {
    let name = |camel: &str, other: &str| if snake { other } else { camel }.to_owned();
    let attribute = |attribute: &Attribute| {
        let mut value = json!({});
        if !attribute.key.is_empty() {
            value["key"] = json!(attribute.key);
        }
        if attribute.key_index > 0 {
            value[name("keyStrindex", "key_strindex")] = json!(attribute.key_index);
        }
        if let Some(any) = &attribute.value {
            value["value"] = any_value(any);
        }
        value
    };
    let entry = |entry: &TableEntry| {
        let mut value = json!({});
        value[name("unitStrindex", "unit_strindex")] = json!(entry.unit_index);
        if entry.key_index > 0 {
            value[name("keyStrindex", "key_strindex")] = json!(entry.key_index);
        }
        if let Some(any) = &entry.value {
            value["value"] = any_value(any);
        }
        value
    };
    let profiles = request.profiles.iter().map(|profiles| {
        let mut value = json!({name("scopeProfiles", "scope_profiles"): profiles.scopes});
        if let Some(resource) = &profiles.resource {
            let attributes: Vec<_> = resource.attributes.iter().map(attribute).collect();
            value["resource"] = json!({});
            if !attributes.is_empty() {
                value["resource"]["attributes"] = attributes.into();
            }
        }
        value
    });
    let profiles: Vec<_> = profiles.collect();
    let mut value = json!({name("resourceProfiles", "resource_profiles"): profiles});
    if let Some(dictionary) = &request.dictionary {
        let attributes: Vec<_> = dictionary.attributes.iter().map(entry).collect();
        value["dictionary"] = json!({
            name("stringTable", "string_table"): dictionary.strings,
            name("stackTable", "stack_table"): dictionary.stacks,
        });
        if !attributes.is_empty() {
            let table = name("attributeTable", "attribute_table");
            value["dictionary"][table] = attributes.into();
        }
    }
    value
}

fn any_value(any: &Any) -> Value {
    match &any.string {
        Some(string) => json!({"stringValue": string}),
        None => json!({"intValue": any.int.map(|int| int.to_string())}),
    }
}

#[test]
fn the_application_of_samples_is_replaced_in_earlier_schemas_too() {
    // A dictionary with KeyValues: "service.name" = "old", "a" = "b".
    let old = b"\x12\x25\x32\x15\x0a\x0cservice.name\x12\x05\x0a\x03old\x32\x0c\x0a\x01a\x12\x03\x0a\x01b\x18\x07\x20\x01";
    let new = b"\x12\x26\x32\x16\x12\x06\x0a\x04shop\x0a\x0cservice.name\x32\x0c\x0a\x01a\x12\x03\x0a\x01b\x18\x07\x20\x01";
    let (tags, _) = app_tags();
    assert_eq!(proto(&old[..]).tagged(&tags).unwrap().concat(), new);
    // Without a tag of the application nothing is replaced.
    assert_eq!(proto(&old[..]).tagged(&some_tags()).unwrap().concat(), old);
}

#[test]
fn a_resource_in_two_parts_gets_the_tags_once() {
    // Two resources in one ResourceProfiles, each with a label of the tag; protobuf joins them.
    let body =
        b"\x0a\x1a\x0a\x07\x0a\x05\x0a\x03env\x12\x04abcd\x0a\x09\x0a\x05\x0a\x03env\x10\x07";
    let tagged = proto(&body[..]).tagged(&some_tags()).unwrap().concat();
    let mut read = ExportRequest::decode(&tagged[..]).unwrap();
    let resource = read.profiles.remove(0).resource.unwrap();
    let keys: Vec<_> = resource
        .attributes
        .iter()
        .map(|pair| &pair.key[..])
        .collect();
    assert_eq!((keys, resource.dropped), (vec!["env", "z"], 7));
}

#[test]
fn json_stays_byte_for_byte_around_the_attributes() {
    const NEW: &str = concat!(
        r#"{"key":"env","value":{"stringValue":"new"}},"#,
        r#"{"key":"z","value":{"stringValue":""}}"#
    );
    for (old, new) in [
        (r"{ }", r"{ }"),
        (
            r#"{"resourceProfiles":[{}]}"#,
            r#"{"resourceProfiles":[{"resource":{"attributes":[NEW]}}]}"#,
        ),
        (
            r#"{"resourceProfiles":[{"resource": null, "x":1.50}]}"#,
            r#"{"resourceProfiles":[{"resource": {"attributes":[NEW]}, "x":1.50}]}"#,
        ),
        (
            r#"{"resource_profiles":[{"resource":{"attributes":null}}]}"#,
            r#"{"resource_profiles":[{"resource":{"attributes":[NEW]}}]}"#,
        ),
        (
            r#"{"resourceProfiles":[{"resource":{"attributes":[{"key":"env"}, {"key":"a"}]}}]}"#,
            r#"{"resourceProfiles":[{"resource":{"attributes":[NEW,{"key":"a"}]}}]}"#,
        ),
    ] {
        let got = json(old.to_owned()).tagged(&some_tags()).unwrap().concat();
        assert_eq!(
            String::from_utf8(got).unwrap(),
            new.replace("NEW", NEW),
            "{old}"
        );
    }
}

#[test]
fn what_has_another_shape_is_undecodable() {
    for body in [
        "",
        "[]",
        r#"{"resourceProfiles":[{"resource":1}]}"#,
        r#"{"dictionary":[]}"#,
    ] {
        assert_eq!(
            json(body).tagged(&some_tags()),
            Err(Undecodable::Json),
            "{body}"
        );
    }
    for body in [
        &b"\x08\x01"[..],
        b"\x0a\x02\x08\x01",
        b"\x0a\x04\x0a\x02\x08\x01",
    ] {
        let fault = Err(ProtobufFault::Type.into());
        assert_eq!(proto(body).tagged(&some_tags()), fault, "{body:?}");
    }
}

#[test]
fn a_description_tells_of_the_first_resource_in_either_syntax() {
    let pair = |key: &str, key_index, value: Option<&str>| Attribute {
        key: key.to_owned(),
        value: Some(Any {
            string: value.map(str::to_owned),
            int: value.is_none().then_some(7),
        }),
        key_index,
    };
    let resource = Resource {
        attributes: vec![
            pair("b", 0, Some("1")),
            pair("", 3, Some("shop")),
            pair("n", 0, None),
        ],
        ..Resource::default()
    };
    let profiles = ResourceProfiles {
        resource: Some(resource),
        scopes: vec![b"abc".to_vec()],
        ..ResourceProfiles::default()
    };
    let strings = STRINGS.iter().map(|&string| string.to_owned()).collect();
    let request = ExportRequest {
        profiles: vec![profiles, ResourceProfiles::default()],
        dictionary: Some(Dictionary {
            strings,
            ..Dictionary::default()
        }),
    };
    for message in [
        proto(request.encode_to_vec()),
        json(to_json(&request, false).to_string()),
        json(to_json(&request, true).to_string()),
    ] {
        let description = message.describe().unwrap();
        assert_eq!((description.app.as_str(), description.series), ("shop", 2));
        let labels = [("b", "1"), ("service.name", "shop")];
        assert_eq!(
            description.labels,
            labels.map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(message.profiles().unwrap().count(), 2);
    }
}
