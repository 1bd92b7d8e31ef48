//! Generates and writes the requests of a pair.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use proptest::prelude::*;

use super::super::{Frames, from_peer};

/// A request, before it is written.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) peer: &'static str,
    pub(super) forwarded: Option<&'static str>,
    pub(super) prefix: &'static str,
    pub(super) surface: Surface,
    pub(super) version: Option<&'static str>,
    pub(super) encoding: Option<&'static str>,
    pub(super) agent: Option<&'static str>,
    pub(super) body: Content,
    /// Sizes of the frames, repeated until the body ends.
    pub(super) frames: Vec<usize>,
    /// Whether the request announces the length of its body.
    pub(super) announced: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Surface {
    Ingest {
        app: &'static str,
        from: Time,
        until: Time,
    },
    Push,
    Otlp,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    Absent,
    Empty,
    Relative(u8),
    Absolute(u8),
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Plain(Vec<u8>),
    Multipart {
        boundary: String,
        parts: Vec<Vec<u8>>,
    },
}

pub(super) fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        1 => Just(Time::Absent),
        1 => Just(Time::Empty),
        1 => (0u8..2).prop_map(Time::Relative),
        9 => (0u8..2).prop_map(Time::Absolute),
    ]
}

pub(super) fn surface() -> impl Strategy<Value = Surface> {
    let ingest = |(app, from, until)| Surface::Ingest { app, from, until };
    prop_oneof![
        4 => (one_of(&["a", "b"]), time(), time()).prop_map(ingest),
        1 => Just(Surface::Push),
        1 => Just(Surface::Otlp),
    ]
}

pub(super) fn one_of<T: Clone + std::fmt::Debug + 'static>(
    values: &[T],
) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(values.to_vec())
}

pub(super) fn peer() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "10.0.0.1:5000",
        "10.0.0.1:5001",
        "10.0.0.2:5000",
        "[::ffff:10.0.0.1]:7",
    ])
}

pub(super) fn forwarded() -> impl Strategy<Value = Option<&'static str>> {
    one_of(&[
        None,
        Some(""),
        Some("10.0.0.1"),
        Some("10.0.0.2"),
        Some("10.0.0.2, 10.9.9.9"),
        Some("10.0.0.2:6000"),
        Some("10.9.9.9, 10.0.0.2"),
        Some("unknown"),
    ])
}

pub(super) fn version() -> impl Strategy<Value = Option<&'static str>> {
    one_of(&[None, Some(""), Some("v1"), Some("v2")])
}

pub(super) fn encoding() -> impl Strategy<Value = Option<&'static str>> {
    one_of(&[None, Some("gzip")])
}

pub(super) fn agent() -> impl Strategy<Value = Option<&'static str>> {
    one_of(&[None, Some("java"), Some("go")])
}

pub(super) fn content() -> impl Strategy<Value = Content> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let parts = (boundary(), prop::collection::vec(bytes(), 1..4));
    prop_oneof![
        bytes().prop_map(Content::Plain),
        parts.prop_map(|(boundary, parts)| Content::Multipart { boundary, parts }),
    ]
}

pub(super) fn boundary() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{16,40}"
}

pub(super) fn frames() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..90, 1..4)
}

pub(super) fn sent() -> impl Strategy<Value = Sent> {
    let head = (
        peer(),
        forwarded(),
        one_of(&["", "/base"]),
        surface(),
        version(),
        encoding(),
        agent(),
    );
    (head, content(), frames(), any::<bool>()).prop_map(|(head, body, frames, announced)| {
        let (peer, forwarded, prefix, surface, version, encoding, agent) = head;
        Sent {
            peer,
            forwarded,
            prefix,
            surface,
            version,
            encoding,
            agent,
            body,
            frames,
            announced,
        }
    })
}

impl Sent {
    pub(super) fn write(&self) -> Request<Frames> {
        let time = |key, time| match time {
            Time::Absent => String::new(),
            Time::Empty => format!("&{key}="),
            Time::Relative(seconds) => format!("&{key}=now-{seconds}s"),
            Time::Absolute(number) => format!("&{key}=179539749{number}"),
        };
        let (path, content_type) = match &self.surface {
            Surface::Ingest { app, from, until } => {
                let times = time("from", *from) + &time("until", *until);
                (format!("/ingest?name={app}{times}"), "text/plain")
            }
            Surface::Push => (
                "/push.v1.PusherService/Push".to_owned(),
                "application/proto",
            ),
            Surface::Otlp => (
                "/v1development/profiles".to_owned(),
                "application/x-protobuf",
            ),
        };
        let (body, content_type) = match &self.body {
            Content::Plain(bytes) => (bytes.clone(), content_type.to_owned()),
            Content::Multipart { boundary, parts } => {
                let mut body = Vec::new();
                for part in parts {
                    body.extend(format!("--{boundary}\r\n\r\n").as_bytes());
                    body.extend(part);
                    body.extend(b"\r\n");
                }
                body.extend(format!("--{boundary}--\r\n").as_bytes());
                // Only `/ingest` takes multipart bodies.
                let multipart = format!("multipart/form-data; boundary={boundary}");
                let is_ingest = matches!(self.surface, Surface::Ingest { .. });
                (
                    body,
                    if is_ingest {
                        multipart
                    } else {
                        content_type.to_owned()
                    },
                )
            }
        };
        let mut request =
            Request::post(format!("{}{path}", self.prefix)).header("content-type", content_type);
        let headers = [
            ("x-forwarded-for", self.forwarded),
            ("otlp-profiles-development-version", self.version),
            ("content-encoding", self.encoding),
            ("user-agent", self.agent),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut sizes = self.frames.iter().cycle();
        let mut rest = &body[..];
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let (frame, behind) = rest.split_at(sizes.next().unwrap().min(&rest.len()).to_owned());
            frames.push(Bytes::copy_from_slice(frame));
            rest = behind;
        }
        let request = request.body(Frames::new(&frames, self.announced)).unwrap();
        from_peer(self.peer.parse::<SocketAddr>().unwrap(), request)
    }

    /// Whether the body is multipart and not sent as such, so that its boundary is a part of its content.
    pub(super) fn has_meaningless_boundary(&self) -> bool {
        let is_ingest = matches!(self.surface, Surface::Ingest { .. });
        !is_ingest && matches!(self.body, Content::Multipart { .. })
    }
}
