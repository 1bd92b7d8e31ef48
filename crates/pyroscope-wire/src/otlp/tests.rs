use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use crate::encoding::{Coding, Encoding};
use crate::message::Message;
use crate::reference_model::{
    Any, Attribute, Dictionary, ExportRequest, Resource, ResourceProfiles, assert_not_copied,
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

fn requests() -> impl Strategy<Value = ExportRequest> {
    let any_value = (prop::option::of(".{0,3}"), prop::option::of(any::<i64>()))
        .prop_map(|(string, int)| Any { string, int });
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
    let strings = STRINGS.iter().map(|&string| string.to_owned()).collect();
    (prop::collection::vec(profiles, 0..4), any::<bool>()).prop_map(move |(profiles, table)| {
        ExportRequest {
            profiles,
            dictionary: table.then_some(Dictionary {
                strings: Vec::clone(&strings),
            }),
        }
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
        let message = proto(request.encode_to_vec());
        let pieces = message.tagged(&tags).unwrap();
        let tagged = pieces.concat();
        assert_not_copied(message.profiles().unwrap(), &pieces);
        let pairs: Vec<_> = tags.iter().collect();
        prop_assert_eq!(
            ExportRequest::decode(&tagged[..]).unwrap(),
            request.upsert(&pairs)
        );
        let tagged = proto(tagged);
        prop_assert!(tagged.profiles().unwrap().eq(message.profiles().unwrap()));
        prop_assert_eq!(&tagged.tagged(&tags).unwrap().concat(), tagged.bytes());
    }

    #[test]
    fn in_json_too(request in requests(), pretty: bool, snake: bool) {
        let tags = some_tags();
        let value = to_json(&request, snake);
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let message = json(text);
        let pieces = message.tagged(&tags).unwrap();
        assert_not_copied(message.profiles().unwrap(), &pieces);
        let pairs: Vec<_> = tags.iter().collect();
        let tagged: Value = serde_json::from_slice(&pieces.concat()).unwrap();
        prop_assert_eq!(tagged, to_json(&request.upsert(&pairs), snake));
    }

    #[test]
    fn any_bytes_are_tagged_or_refused(body in prop::collection::vec(any::<u8>(), 0..40)) {
        for message in [proto(body.clone()), json(body)] {
            prop_assert!(message.tagged(&some_tags()).is_ok() || message.describe().is_err());
        }
    }
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
        match &attribute.value {
            Some(Any {
                string: Some(string),
                ..
            }) => value["value"] = json!({"stringValue": string}),
            Some(any) => value["value"] = json!({"intValue": any.int.map(|int| int.to_string())}),
            None => {}
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
        value["dictionary"] = json!({name("stringTable", "string_table"): dictionary.strings});
    }
    value
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
        dictionary: Some(Dictionary { strings }),
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
