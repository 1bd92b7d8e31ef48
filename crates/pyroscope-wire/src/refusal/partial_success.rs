//! The partial success of an OTLP export: a target acknowledges the request and rejects some of its
//! profiles (OTLP specification, "Partial Success").

use serde_json::Value;

use super::truncated;
use crate::proto::Fields;

/// The partial success or the warning in the response to an OTLP export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Profiles that the target rejected. 0: the target accepted all of them and sends a warning.
    pub rejected_profiles: u64,
    /// The reason, or the warning; may be empty. U+FFFD stands for bytes that are not UTF-8.
    pub message: String,
}

impl PartialSuccess {
    /// Reads the start of a decompressed body: an `ExportProfilesServiceResponse` in JSON if the content type
    /// contains `json`, in protobuf unless the content type begins with `text/`.
    ///
    /// `None` if the target accepted everything without a warning, and for a body that is no such message.
    pub fn read(content_type: &[u8], body: &[u8]) -> Option<Self> {
        let content_type = content_type.to_ascii_lowercase();
        let read = match memchr::memmem::find(&content_type, b"json") {
            Some(_) => Self::from_json(body)?,
            None if content_type.starts_with(b"text/") => return None,
            None => Self::from_proto(body)?,
        };
        let says_nothing = read.rejected_profiles == 0 && read.message.is_empty();
        (!says_nothing).then_some(read)
    }

    fn from_json(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let response = truncated::read(text.trim(), "\"}}")?;
        // protobuf's JSON has names in camel case or as in the schema, and 64-bit integers as strings or
        // numbers.
        let of = |object: &Value, names: [&str; 2]| {
            names.into_iter().find_map(|name| object.get(name).cloned())
        };
        let partial = of(&response, ["partialSuccess", "partial_success"])?;
        let rejected = match of(&partial, ["rejectedProfiles", "rejected_profiles"]) {
            Some(Value::String(digits)) => digits.parse().unwrap_or(0),
            Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
            _ => 0,
        };
        let message = of(&partial, ["errorMessage", "error_message"]);
        let message = message.as_ref().and_then(Value::as_str);
        Some(Self {
            rejected_profiles: rejected,
            message: message.unwrap_or_default().to_owned(),
        })
    }

    fn from_proto(body: &[u8]) -> Option<Self> {
        let mut read = Self {
            rejected_profiles: 0,
            message: String::new(),
        };
        for field in Fields::new(body).clipped() {
            let field = field.ok()?;
            if field.number != 1 {
                continue;
            }
            for field in Fields::within(body, field.delimited().ok()?).clipped() {
                let field = field.ok()?;
                match field.number {
                    // No target may send a negative number: it counts as 0.
                    1 => {
                        let rejected = field.varint(body).ok()?;
                        read.rejected_profiles =
                            i64::try_from(rejected).unwrap_or(0).unsigned_abs();
                    }
                    2 => {
                        let message = body.get(field.delimited().ok()?)?;
                        read.message = String::from_utf8_lossy(message).into_owned();
                    }
                    _ => {}
                }
            }
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[derive(Message)]
    struct Response {
        #[prost(message, optional, tag = "1")]
        partial: Option<Partial>,
    }

    #[derive(Message)]
    struct Partial {
        #[prost(int64, tag = "1")]
        rejected: i64,
        #[prost(string, tag = "2")]
        message: String,
    }

    fn proto(rejected: i64, message: &str) -> Vec<u8> {
        let message = message.to_owned();
        let partial = Some(Partial { rejected, message });
        Response { partial }.encode_to_vec()
    }

    fn partial(rejected_profiles: u64, message: &str) -> Option<PartialSuccess> {
        let message = message.to_owned();
        Some(PartialSuccess {
            rejected_profiles,
            message,
        })
    }

    #[test]
    fn both_notations_are_read() {
        let read = |body: &[u8]| PartialSuccess::read(b"application/x-protobuf", body);
        assert_eq!(read(&proto(3, "series limit")), partial(3, "series limit"));
        assert_eq!(read(&proto(0, "deprecated")), partial(0, "deprecated"));
        assert_eq!(read(&proto(7, "")), partial(7, ""));
        assert_eq!(read(&proto(-1, "x")), partial(0, "x"));
        let json = |body: &str| PartialSuccess::read(b"Application/JSON", body.as_bytes());
        for body in [
            r#"{"partialSuccess":{"rejectedProfiles":"3","errorMessage":"series limit"}}"#,
            r#"{"partial_success":{"rejected_profiles":3,"error_message":"series limit"}}"#,
            r#" {"more":[],"partialSuccess":{"rejectedProfiles":3,"errorMessage":"series limit"}} "#,
        ] {
            assert_eq!(json(body), partial(3, "series limit"), "{body}");
        }
    }

    #[test]
    fn a_whole_success_is_none_and_so_is_what_is_no_response() {
        let bodies = [
            &b""[..],
            &proto(0, ""),
            b"\n\0",
            b"ok",
            b"\xff\xff",
            b"<html>",
        ];
        for body in bodies {
            assert_eq!(PartialSuccess::read(b"", body), None, "{body:?}");
        }
        assert_eq!(PartialSuccess::read(b"text/plain", &proto(3, "x")), None);
        for body in [
            "",
            "{}",
            "null",
            r#"{"partialSuccess":{}}"#,
            "{\"partialSuccess\":1}",
            "ok",
        ] {
            let read = PartialSuccess::read(b"application/json", body.as_bytes());
            assert_eq!(read, None, "{body}");
        }
    }

    #[test]
    fn the_message_may_be_cut_off() {
        let long = "x".repeat(5_000);
        let body = proto(3, &long);
        let read = PartialSuccess::read(b"", &body[..4_096]).unwrap();
        assert_eq!(read.rejected_profiles, 3);
        assert!(read.message.len() > 4_000);
        let body =
            format!(r#"{{"partialSuccess":{{"rejectedProfiles":"3","errorMessage":"{long}"}}}}"#);
        let read = PartialSuccess::read(b"application/json", &body.as_bytes()[..4_096]).unwrap();
        assert_eq!(read.rejected_profiles, 3);
        assert!(read.message.len() > 4_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            body in prop::collection::vec(any::<u8>(), 0..40),
            rejected: i64,
            message in "\\PC{0,9}",
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = proto(rejected, &message);
            let start = &whole[..cut.index(whole.len() + 1)];
            for body in [&body[..], start] {
                let _proto = PartialSuccess::read(b"", body);
                let _json = PartialSuccess::read(b"application/json", body);
            }
        }
    }
}
