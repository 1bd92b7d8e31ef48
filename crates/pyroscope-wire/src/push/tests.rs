use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use crate::encoding::{Coding, Encoding};
use crate::message::Message;
use crate::proto::put_length;
use crate::reference_model::{Label, PushRequest, Sample, Series, assert_not_copied};
use crate::undecodable::{ProtobufFault, Undecodable};
use crate::{Format, Surface, Tags};

const NAMES: &[&str] = &["a", "b", "env", "service_name", "", "Env", "é"];

fn message(content_type: &str, body: impl Into<Bytes>) -> Message {
    let encoding = Encoding::of(Surface::Push, Some(content_type.as_bytes())).unwrap();
    Message::read(encoding, Coding::Identity, &[body.into()], 1 << 20).unwrap()
}

fn proto(body: impl Into<Bytes>) -> Message {
    message("application/proto", body)
}

fn json(body: impl Into<Bytes>) -> Message {
    message("application/json", body)
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Tags::parse(pairs.iter().map(owned)).unwrap()
}

fn some_tags() -> impl Strategy<Value = Tags> {
    let pair = (
        prop::sample::select(vec!["a", "env", "service_name", "z"]),
        "[a-zé={ ]{0,3}",
    );
    prop::collection::btree_map(
        pair.0,
        pair.1.prop_map(|value| value.trim().to_owned()),
        0..4,
    )
    .prop_map(|pairs| {
        Tags::parse(
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        )
        .unwrap()
    })
}

fn pairs(tags: &Tags) -> Vec<(&str, &str)> {
    tags.iter().collect()
}

fn requests() -> impl Strategy<Value = PushRequest> {
    let label = (prop::sample::select(NAMES), ".{0,4}", any::<u32>()).prop_map(
        |(name, value, unknown_fixed)| Label {
            name: name.to_owned(),
            value,
            unknown_fixed,
        },
    );
    let sample = (prop::collection::vec(any::<u8>(), 0..200), "[0-9a-f]{0,4}")
        .prop_map(|(raw_profile, id)| Sample { raw_profile, id });
    let series = (
        prop::collection::vec(label, 0..6),
        prop::collection::vec(sample, 0..3),
        any::<u64>(),
        prop::collection::vec(any::<u8>(), 0..4),
    )
        .prop_map(|(labels, samples, unknown_fixed, unknown_bytes)| Series {
            labels,
            samples,
            unknown_fixed,
            unknown_bytes,
        });
    (prop::collection::vec(series, 0..4), any::<u64>()).prop_map(|(series, unknown_varint)| {
        PushRequest {
            series,
            unknown_varint,
        }
    })
}

proptest! {
    #[test]
    fn tagging_is_an_upsert_that_copies_no_profile(request in requests(), tags in some_tags()) {
        let message = proto(request.encode_to_vec());
        let pieces = message.tagged(&tags).unwrap();
        let tagged = pieces.concat();
        let profiles: Vec<_> = message.profiles().unwrap().collect();
        prop_assert_eq!(&profiles, &request.raw_profiles());
        assert_not_copied(profiles.into_iter(), &pieces);
        prop_assert_eq!(
            PushRequest::decode(&tagged[..]).unwrap(),
            request.upsert(&pairs(&tags))
        );
        prop_assert_eq!(proto(tagged.clone()).tagged(&tags).unwrap().concat(), tagged);
    }

    #[test]
    fn all_but_labels_and_lengths_stays_byte_for_byte(
        series in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..8), 0..4),
    ) {
        // Whether a tag replaces the field, and the bytes of the field, some of them in an unusual encoding.
        const FIELDS: &[(bool, &[u8])] = &[
            (false, b"\x12\x05\x0a\x03abc"),
            (false, b"\x92\x80\x00\x80\x00"),
            (false, b"\x12\x08\x12\x02id\x0a\x02\xff\xff"),
            (false, b"\x0a\x07\x0a\x01b\x12\x02xy"),
            (false, b"\x0a\x00"),
            (false, b"\x0a\x08\x0a\x03env\x0a\x01b"),
            (false, b"\xf8\x01\x80\x80\x00"),
            (false, b"\x19ABCDEFGH"),
            (true, b"\x0a\x05\x0a\x03env"),
            (true, b"\x8a\x00\x89\x00\x12\x01x\x0a\x83\x00env"),
            (true, b"\x0a\x08\x0a\x01b\x0a\x03env"),
            (true, b"\x0a\x0a\x0a\x03env\x12\x03old"),
        ];
        const TAG: &[u8] = b"\x0a\x0a\x0a\x03env\x12\x03new";
        let (mut source, mut wanted) = (b"\x48\x81\x00".to_vec(), b"\x48\x81\x00".to_vec());
        for fields in series {
            let (mut old, mut new) = (Vec::new(), TAG.to_vec());
            for field in fields {
                let (replaced, bytes) = FIELDS[field.index(FIELDS.len())];
                old.extend(bytes);
                new.extend(if replaced { &[] } else { bytes });
            }
            for (out, fields) in [(&mut source, old), (&mut wanted, new)] {
                out.extend(b"\x8a\x80\x00");
                put_length(out, fields.len());
                out.extend(fields);
            }
        }
        let pieces = proto(source).tagged(&tags(&[("env", "new")])).unwrap();
        prop_assert_eq!(pieces.concat(), wanted);
    }

    #[test]
    fn in_json_too(request in requests(), tags in some_tags(), pretty: bool, null: bool) {
        let value = to_json(&request, null);
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let message = json(text);
        let pieces = message.tagged(&tags).unwrap();
        assert_not_copied(message.profiles().unwrap(), &pieces);

        let tagged: Value = serde_json::from_slice(&pieces.concat()).unwrap();
        let wanted = if tags.is_empty() { value } else {
            to_json(&request.upsert(&pairs(&tags)), null)
        };
        prop_assert_eq!(tagged, wanted);
    }

    #[test]
    fn any_bytes_are_tagged_or_refused(body in prop::collection::vec(any::<u8>(), 0..40)) {
        let tags = tags(&[("env", "new")]);
        for message in [proto(body.clone()), json(body)] {
            prop_assert_eq!(
                message.tagged(&tags).is_ok() || message.describe().is_err(),
                true
            );
        }
    }
}

/// The request in JSON, with every kind of empty list and with a member that is in no schema.
fn to_json(request: &PushRequest, null: bool) -> Value {
    let series = request.series.iter().map(|series| {
        let samples = series.samples.iter().map(|sample| {
            let text: String = sample
                .raw_profile
                .iter()
                .map(|b| format!("{b:02x}=="))
                .collect();
            json!({"rawProfile": text, "ID": sample.id})
        });
        let mut value = json!({"samples": samples.collect::<Vec<_>>(), "x\"y": [{"labels": 1}]});
        let labels: Vec<_> = series
            .labels
            .iter()
            .map(
                |label| json!({"name": label.name, "value": label.value, "u": label.unknown_fixed}),
            )
            .map(|mut label| {
                if label["u"] == json!(0) {
                    label.as_object_mut().unwrap().remove("u");
                }
                label
            })
            .collect();
        if null && labels.is_empty() {
            value["labels"] = Value::Null;
        } else if !labels.is_empty() || series.unknown_fixed % 2 == 0 {
            value["labels"] = labels.into();
        }
        value
    });
    json!({"series": series.collect::<Vec<_>>(), "other": null})
}

#[test]
fn json_stays_byte_for_byte_around_the_labels() {
    let tags = tags(&[("env", "a\"b"), ("z", "")]);
    const NEW: &str = r#"{"name":"env","value":"a\"b"},{"name":"z","value":""}"#;
    for (old, new) in [
        (r"{}", r"{}"),
        (r#" { "series" : null } "#, r#" { "series" : null } "#),
        (r#"{"series":[]}"#, r#"{"series":[]}"#),
        (
            r#"{"series":[ { } ]}"#,
            r#"{"series":[ {"labels":[NEW] } ]}"#,
        ),
        (
            r#"{"series":[{"b":1}]}"#,
            r#"{"series":[{"labels":[NEW],"b":1}]}"#,
        ),
        (
            r#"{"series":[{"labels": null }]}"#,
            r#"{"series":[{"labels": [NEW] }]}"#,
        ),
        (
            r#"{"series":[{"labels":[ ]}]}"#,
            r#"{"series":[{"labels":[NEW]}]}"#,
        ),
        (
            r#"{"series":[{"labels":[ {"name":"env"} , {"name":"z"} ]}]}"#,
            r#"{"series":[{"labels":[NEW]}]}"#,
        ),
        (
            r#"{"series":[{"labels":[ {"name":"b"} , {"name":null} ],"q":1e5}]}"#,
            r#"{"series":[{"labels":[NEW, {"name":"b"} , {"name":null} ],"q":1e5}]}"#,
        ),
        (
            r#"{"series":[{"labels":[ {"name":"e\u006ev"} , {"n":"b"} , {"name":"z"}, {"name":"c"}, {"name":"z"} ]}]}"#,
            r#"{"series":[{"labels":[NEW,{"n":"b"},{"name":"c"}]}]}"#,
        ),
        (
            r#"{"series":[{"samples":[{"rawProfile":"\u0041A=="}]}],"series_":[{}]}"#,
            r#"{"series":[{"labels":[NEW],"samples":[{"rawProfile":"\u0041A=="}]}],"series_":[{}]}"#,
        ),
    ] {
        let got = json(old.to_owned()).tagged(&tags).unwrap().concat();
        assert_eq!(
            String::from_utf8(got).unwrap(),
            new.replace("NEW", NEW),
            "{old}"
        );
    }
}

#[test]
fn json_of_another_shape_is_undecodable() {
    for body in [
        "",
        "null",
        "[]",
        "{",
        "{}x",
        r#"{"series":{}}"#,
        r#"{"series":[null]}"#,
        r#"{"series":[1]}"#,
        r#"{"series":[{"labels":{}}]}"#,
        r#"{"series":[{"labels":[null]}]}"#,
        r#"{"series":[{"labels":[{"name":1}]}]}"#,
        r#"{"series":[{"labels":[{"name":"\ud800"}]}]}"#,
        "{\"a\":\"\u{1}\"}",
    ] {
        let got = json(body).tagged(&tags(&[("env", "x")]));
        assert_eq!(got, Err(Undecodable::Json), "{body}");
    }
    assert!(json(&b"{\"a\":\"\xff\"}"[..]).describe().is_err());
}

#[test]
fn protobuf_of_another_shape_is_undecodable() {
    for (body, fault) in [
        (&b"\x08\x01"[..], ProtobufFault::Type),
        (b"\x0a\x02\x08\x01", ProtobufFault::Type),
        (b"\x0a\x04\x0a\x02\x08\x01", ProtobufFault::Type),
        (b"\x0a\x04\x0a\x03a", ProtobufFault::Truncated),
        (b"\x0a\x03\x0a\x02\x0a\x01", ProtobufFault::Truncated),
        (b"\x0a\x02\x1b\x1c", ProtobufFault::Group),
    ] {
        let got = proto(body).tagged(&tags(&[("env", "x")]));
        assert_eq!(got, Err(fault.into()), "{body:?}");
    }
}

#[test]
fn nothing_to_tag_changes_nothing() {
    let tags = tags(&[("env", "x")]);
    assert!(proto("").tagged(&tags).unwrap().is_empty());
    let body = Bytes::from_static(b"\x12\x01a\x48\x01");
    assert_eq!(proto(body.clone()).tagged(&tags).unwrap(), [&body]);
    assert_eq!(
        proto(body.clone()).tagged(&Tags::default()).unwrap(),
        [&body]
    );
}

#[test]
fn captured_requests_get_the_tags_and_keep_their_profiles() {
    let captures: [(&[u8], &str); 2] = [
        (
            include_bytes!("../../../../tests/captures/pyroscope-io-1.4.0-01.http"),
            "cap.python.app",
        ),
        (
            include_bytes!("../../../../tests/captures/pyroscope-rs-2.1.5-01.http"),
            "cap.rust.app",
        ),
    ];
    for (request, app) in captures {
        let head = request
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap()
            + 4;
        let body = Bytes::copy_from_slice(&request[head..]);
        let encoding = Encoding::of(Surface::Push, Some(b"application/proto")).unwrap();
        let message = Message::read(encoding, Coding::Gzip, &[body], 1 << 20).unwrap();
        let before = PushRequest::decode(&message.bytes()[..]).unwrap();
        let description = message.describe().unwrap();
        assert_eq!(description.format, Format::Proto);
        assert_eq!(description.series, before.series.len());
        assert_eq!(description.app, app);

        let tags = tags(&[("cluster", "eu-1"), ("service_name", "other")]);
        let pieces = message.tagged(&tags).unwrap();
        assert_not_copied(message.profiles().unwrap(), &pieces);
        let tagged = proto(pieces.concat());
        assert_eq!(
            PushRequest::decode(&tagged.bytes()[..]).unwrap(),
            before.upsert(&pairs(&tags))
        );
        assert_eq!(tagged.describe().unwrap().app, "other");
        assert!(tagged.profiles().unwrap().eq(message.profiles().unwrap()));
    }
}

#[test]
fn a_description_tells_of_the_first_series() {
    let body = json!({"series": [
        {"labels": [{"name": "service_name", "value": "shop,}"}, {"name": "a", "value": "1"}],
         "samples": [{"rawProfile": "AA=="}, {}]},
        {"labels": [{"name": "b"}], "samples": [{"raw_profile": "AQ=="}]},
    ]});
    let message = json(body.to_string());
    let description = message.describe().unwrap();
    assert_eq!(
        (description.app.as_str(), description.series),
        ("shop,}", 2)
    );
    let labels = [("a", "1"), ("service_name", "shop,}")];
    assert_eq!(
        description.labels,
        labels.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    let profiles: Vec<_> = message.profiles().unwrap().collect();
    assert_eq!(profiles, [&b"\"AA==\""[..], b"", b"\"AQ==\""]);

    assert_eq!(proto("").describe().unwrap().app, "unknown_service");
    assert_eq!(proto("").describe().unwrap().series, 0);
}
