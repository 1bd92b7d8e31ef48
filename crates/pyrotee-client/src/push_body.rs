//! The body of a Push, as the SDKs for Rust and Python write it.

use anyhow::{Context, ensure};
use bytes::Bytes;
use pyroscope_wire::{Dialect, Name, gzip};

/// Field numbers of push.v1 (`push.proto`) and types.v1 (`types.proto`) of Pyroscope.
const SERIES: u8 = 1;
const LABELS: u8 = 1;
const SAMPLES: u8 = 2;
const NAME: u8 = 1;
const VALUE: u8 = 2;
const RAW_PROFILE: u8 = 1;

/// Label with the type of the profile, which decides how Pyroscope shows the profile. The application has a label of
/// its own.
const PROFILE_TYPE: (&str, &str) = ("__name__", "process_cpu");

const APPLICATION: &str = "service_name";

/// A `PushRequest` with one series and one profile (pprof), compressed; its labels are those of `name`, which has the
/// syntax of `/ingest`.
///
/// # Errors
/// The name cannot be made into labels.
pub fn push_body(name: &str, pprof: &Bytes) -> anyhow::Result<Bytes> {
    let name = Name::parse(name, Dialect::Modern)
        .with_context(|| format!("--name {name} cannot be made into labels"))?;
    let own = [PROFILE_TYPE, (APPLICATION, name.app())];
    let theirs = name.labels().filter(|(key, _)| *key != APPLICATION);
    let mut series = Vec::new();
    for (key, value) in own.into_iter().chain(theirs) {
        ensure!(!value.is_empty(), "--name: {key} has no value");
        let pair = [field(NAME, key.as_bytes()), field(VALUE, value.as_bytes())];
        series.extend(field(LABELS, &pair.concat()));
    }
    series.extend(field(SAMPLES, &field(RAW_PROFILE, pprof)));
    Ok(gzip::compress(&[field(SERIES, &series).into()]))
}

/// A field with a length, in protobuf: key, length as a varint, content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    const LENGTH_DELIMITED: u8 = 2;
    let mut out = vec![number << 3 | LENGTH_DELIMITED];
    let mut length = content.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).expect("seven bits fit") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits are left"));
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use pyroscope_wire::{Coding, Encoding, Message, Surface};

    use super::*;

    fn read(body: Bytes) -> Message {
        let encoding = Encoding::of(Surface::Push, Some(b"application/proto")).unwrap();
        Message::read(encoding, Coding::Gzip, &[body], 1 << 20).unwrap()
    }

    #[test]
    fn the_name_becomes_labels_and_the_profile_stays() {
        for length in [0, 1, 127, 128, 300, 70_000] {
            let pprof = Bytes::from(vec![7; length]);
            let message = read(push_body("shop{region=eu, service_name=x}", &pprof).unwrap());
            let what = message.describe().unwrap();
            assert_eq!((what.app.as_str(), what.series), ("shop", 1));
            let labels = [
                ("__name__", "process_cpu"),
                ("region", "eu"),
                ("service_name", "shop"),
            ];
            assert_eq!(
                what.labels,
                labels.map(|(k, v)| (k.to_owned(), v.to_owned()))
            );
            assert_eq!(message.profiles().unwrap().collect::<Vec<_>>(), [pprof]);
        }
    }

    #[test]
    fn a_name_without_an_application_or_with_an_empty_label_is_refused() {
        for (name, part) in [
            ("{a=1}", "service name is required"),
            ("a b", "not allowed"),
            ("shop{a=}", "a has no value"),
        ] {
            let error = push_body(name, &Bytes::new()).unwrap_err();
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
