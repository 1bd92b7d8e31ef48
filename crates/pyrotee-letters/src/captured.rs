//! Captured requests: files that hold a record as a raw HTTP request, which sends it to a Pyroscope again.
//!
//! `pyrotee send --file X.http` sends a captured request, and so can any program that writes bytes to a socket. The
//! request is the one that a target without tags is sent: absent and relative times are absolute, from the time of
//! receipt, and a gRPC frame is removed. Header fields of pyrotee keep the record's hop count and time of receipt, and the
//! tags of the relay that captured the record, if this was another one.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use pyroscope_wire::{Surface, Tags};
use pyrotee_delivery::Content;
use pyrotee_net::HOPS;
use pyrotee_queue::{Head, Record, SurfaceId, receipt_time};

/// Header field with the time of receipt, in nanoseconds since 1970.
const RECEIVED: &str = "Pyrotee-Received";

/// Header field with the tags of the relay that captured the record, as text.
const TAGS: &str = "Pyrotee-Tags";

/// Most header fields of a captured request. Requests of [`write()`] have seven, requests of an SDK some more.
const FIELDS: usize = 64;

/// Why a file cannot be read as a captured request of a profile.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file does not parse as HTTP/1.1.
    #[error("the file is not a captured request")]
    NoRequest(#[from] httparse::Error),
    /// The file ends before the blank line.
    #[error("the head of the request does not end with a blank line")]
    HeadDoesNotEnd,
    /// The request is not for an ingestion surface.
    #[error("{method} {path} is not an ingestion request")]
    NoProfile {
        /// Method in the request line.
        method: String,
        /// Path in the request line, without the query.
        path: String,
    },
    /// `Content-Length` and the rest of the file differ.
    #[error("the body is not as long as Content-Length says")]
    Length,
    /// The value of `Pyrotee-Tags` is not the text of tags. Without them the profile would get the tags of another relay.
    #[error("the value of Pyrotee-Tags is not `key=value`, or several of these joined by commas")]
    Tags,
}

/// Writes a record as a captured request. A record that can be sent to no target is written as it was received.
///
/// # Errors
/// `out` fails, or this version does not know the record's surface.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let head = record.head();
    let unknown =
        || io::Error::other("this version of pyrotee does not know the surface of the record");
    let surface = Surface::from_id(head.surface.0).ok_or_else(unknown)?;
    let content = Content::untagged(record).unwrap_or_else(|_reason| as_it_came(record, surface));
    write!(out, "POST {}", surface.canonical_path())?;
    if !content.query.is_empty() {
        write!(out, "?{}", content.query)?;
    }
    write!(out, " HTTP/1.1\r\nHost: pyrotee\r\n")?;
    let fields = [
        ("Content-Type", content.content_type.as_ref()),
        ("Content-Encoding", content.content_encoding.as_ref()),
    ];
    let meaning = content.headers.iter();
    let meaning = meaning.map(|(name, value)| (name.as_str(), Some(value)));
    for (name, value) in fields.into_iter().chain(meaning) {
        if let Some(value) = value {
            write!(out, "{name}: ")?;
            out.write_all(value.as_bytes())?;
            out.write_all(b"\r\n")?;
        }
    }
    // The text of tags has no control characters. Deliverers ignore any other text as well.
    let tags = head.captor_tags.as_ref();
    if let Some(tags) = tags.filter(|tags| Tags::read(tags).is_some()) {
        write!(out, "{TAGS}: {tags}\r\n")?;
    }
    let length: usize = content.body.iter().map(Bytes::len).sum();
    let received = head.received.duration_since(UNIX_EPOCH).unwrap_or_default();
    // `Pyrotee-Hops` is `HOPS`, capitalised like the other fields of the file.
    write!(
        out,
        "Content-Length: {length}\r\nPyrotee-Hops: {}\r\n{RECEIVED}: {}\r\n\r\n",
        head.hops,
        received.as_nanos()
    )?;
    content
        .body
        .iter()
        .try_for_each(|piece| out.write_all(piece))
}

fn as_it_came(record: &Record, surface: Surface) -> Content {
    let head = record.head();
    let value = |field: &Option<Box<[u8]>>| HeaderValue::from_bytes(field.as_deref()?).ok();
    Content {
        surface,
        query: head.query.to_string(),
        content_type: value(&head.content_type),
        content_encoding: value(&head.content_encoding),
        headers: Content::meaning_headers(surface, head),
        body: record.body().frames().to_vec(),
    }
}

/// Reads the head and the body of a record from a file that [`write()`] has written, or from another captured request.
/// If the request does not contain a time of receipt, the time is now.
///
/// # Errors
/// The file is not an ingestion request; the text says what is missing.
pub fn read(file: &Bytes) -> Result<(Head, Bytes), ReadError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(start) = request.parse(file)? else {
        return Err(ReadError::HeadDoesNotEnd);
    };
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let surface = Surface::recognise(method, path).ok_or_else(|| ReadError::NoProfile {
        method: method.to_owned(),
        path: path.to_owned(),
    })?;
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        fields
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let number =
        |name: &str| -> Option<u128> { str::from_utf8(field(name)?).ok()?.trim().parse().ok() };
    let body = file.slice(start..);
    let length = number("Content-Length");
    if field("Content-Length").is_some() && length != Some(body.len() as u128) {
        return Err(ReadError::Length);
    }
    let captor_tags = match field(TAGS).map(str::from_utf8) {
        None => None,
        Some(Ok(tags)) if Tags::read(tags).is_some() => Some(tags.into()),
        Some(_) => return Err(ReadError::Tags),
    };
    let meaning = surface.meaning_headers().iter();
    let received = number(RECEIVED)
        .map(|nanos| UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    let head = Head {
        surface: SurfaceId(surface.id()),
        query: query.into(),
        content_type: field("Content-Type").map(Into::into),
        content_encoding: field("Content-Encoding").map(Into::into),
        headers: meaning
            .filter_map(|name| Some((*name, field(name)?)))
            .collect(),
        hops: number(HOPS.as_str())
            .and_then(|hops| u8::try_from(hops).ok())
            .unwrap_or(0),
        received: received.unwrap_or_else(receipt_time),
        captor_tags,
    };
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pyrotee_queue::{Budget, Headers, Payload};

    use super::*;

    const BODY: &[u8] = b"a\r\n\r\nbody\0";

    fn record(surface: Surface, query: &str, content_type: &str, body: &[u8]) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(surface.id()),
            query: query.into(),
            content_type: Some(content_type.as_bytes().into()),
            content_encoding: None,
            headers: Headers::default(),
            hops: 2,
            received: UNIX_EPOCH + Duration::new(1_795_500_000, 7),
            captor_tags: None,
        };
        let reservation = Budget::new(1 << 20).reserve(100).unwrap();
        Record::new(head, Payload::from(body.to_vec()), reservation)
    }

    fn written(record: &Record) -> Bytes {
        let mut out = Vec::new();
        write(record, &mut out).unwrap();
        out.into()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let record = record(
            Surface::Ingest,
            "name=a{b=c}&from=1&until=2",
            "x/y; z",
            BODY,
        );
        let (head, body) = read(&written(&record)).unwrap();
        assert_eq!(&head, record.head());
        assert_eq!(body, BODY);
    }

    fn with_tags(tags: &str) -> Arc<Record> {
        let head = Head {
            captor_tags: Some(tags.into()),
            ..record(Surface::Ingest, "name=a&from=1&until=2", "x/y", BODY)
                .head()
                .clone()
        };
        let reservation = Budget::new(1 << 20).reserve(100).unwrap();
        Record::new(head, Payload::from(BODY.to_vec()), reservation)
    }

    #[test]
    fn tags_of_the_captor_are_written_and_read_again() {
        for tags in [
            "pod=a,zone=1",
            "a=\"; \\ x: y,b=ä€\u{2028}\u{1f525}",
            "a=",
            "",
        ] {
            let record = with_tags(tags);
            let file = written(&record);
            let (head, body) = read(&file).unwrap();
            assert_eq!((&head, &*body), (record.head(), BODY), "{tags}");
        }
    }

    #[test]
    fn what_is_no_text_of_tags_is_not_written() {
        for text in ["pod", "a=b\r\nContent-Length: 1", "a=\u{85}"] {
            let file = written(&with_tags(text));
            let (head, body) = read(&file).unwrap();
            assert_eq!((head.captor_tags, &*body), (None, BODY), "{text}");
        }
    }

    #[test]
    fn headers_that_give_the_body_its_meaning_are_written_and_read_again() {
        let mut head = record(Surface::Otlp, "", "application/x-protobuf", BODY)
            .head()
            .clone();
        let version = ("otlp-profiles-development-version", &b"2"[..]);
        let other = ("x-other", &b"1"[..]);
        head.headers = [version, other].into_iter().collect();
        let reservation = Budget::new(1 << 20).reserve(100).unwrap();
        let record = Record::new(head, Payload::from(BODY.to_vec()), reservation);
        let file = written(&record);
        let (head, body) = read(&file).unwrap();
        assert_eq!(body, BODY);
        assert!(
            head.headers.iter().eq([version]),
            "the list is closed: {head:?}"
        );
        let shown = String::from_utf8_lossy(&file).into_owned();
        assert!(
            shown.contains("\r\notlp-profiles-development-version: 2\r\n"),
            "{shown}"
        );

        let of_a_client = "POST /v1development/profiles HTTP/1.1\r\n\
                           OTLP-Profiles-Development-Version: 3\r\nX-Other: 1\r\n\r\n";
        let (head, _) = read(&Bytes::from(of_a_client)).unwrap();
        assert!(head.headers.iter().eq([(version.0, &b"3"[..])]), "{head:?}");
    }

    #[test]
    fn times_that_depend_on_when_they_are_read_are_those_of_the_receipt() {
        let record = record(Surface::Ingest, "name=a&from=now-10s", "x/y", BODY);
        let (head, _) = read(&written(&record)).unwrap();
        assert_eq!(
            &*head.query,
            "name=a&from=1795499990000000007&until=1795500000000000007"
        );
        assert_eq!(head.received, record.head().received);
    }

    #[test]
    fn a_message_loses_its_grpc_frame() {
        let framed = [b"\0\0\0\0\x03", &b"abc"[..]].concat();
        let record = record(Surface::Push, "", "application/grpc+proto", &framed);
        let (head, body) = read(&written(&record)).unwrap();
        assert_eq!(body, &b"abc"[..]);
        assert_eq!(
            head.content_type.as_deref(),
            Some(&b"application/proto"[..])
        );
    }

    #[test]
    fn what_no_target_could_be_sent_is_written_as_it_came() {
        let record = record(Surface::Push, "", "application/grpc", b"no frame");
        let (head, body) = read(&written(&record)).unwrap();
        assert_eq!(body, &b"no frame"[..]);
        assert_eq!(&head, record.head());
    }

    #[test]
    fn a_request_of_a_client_was_received_now() {
        let before = receipt_time();
        let (head, body) = read(&Bytes::from(
            "POST /ingest?name=a HTTP/1.1\r\nhost: x\r\n\r\nbody",
        ))
        .unwrap();
        assert!(head.received >= before && head.hops == 0);
        assert_eq!((&*head.query, &*body), ("name=a", &b"body"[..]));
    }

    #[test]
    fn what_is_none_says_why() {
        for (file, says) in [
            ("", "does not end"),
            ("nonsense\r\n\r\n", "not a captured request"),
            ("GET /ingest HTTP/1.1\r\n\r\n", "not an ingestion request"),
            ("POST /other HTTP/1.1\r\n\r\n", "not an ingestion request"),
            (
                "POST /ingest HTTP/1.1\r\nContent-Length: 5\r\n\r\nbody",
                "not as long",
            ),
            (
                "POST /ingest HTTP/1.1\r\nPyrotee-Tags: pod\r\n\r\n",
                "Pyrotee-Tags",
            ),
            (
                "POST /ingest HTTP/1.1\r\npyrotee-tags: a=b,a=c\r\n\r\n",
                "Pyrotee-Tags",
            ),
        ] {
            let error = read(&Bytes::from(file)).unwrap_err().to_string();
            assert!(error.contains(says), "{file}: {error}");
        }
    }
}
