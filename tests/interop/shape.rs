//! The shape of a request: the parts that are equal in all requests of an SDK, whatever their profiles and times.

use std::net::SocketAddr;

use crate::{compare::Upload, push, support::key};

/// All of a request except its times, its length and its profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// Method, target and version; the times in the target are masked.
    start: String,
    /// Names and values, in order and case. Only `Connection` is left out, because it ends at the next hop.
    fields: Vec<(String, String)>,
    /// Whether the body came in chunks.
    chunked: bool,
    /// Parts of a multipart body, labels of a Push, or what the body begins with.
    outline: Vec<String>,
}

impl Shape {
    /// The shape of a request to `server`, which is the SDK's address of its Pyroscope.
    pub(crate) fn of(upload: &Upload, server: SocketAddr) -> Self {
        let head = &upload.head;
        let query = key::pairs(&head.query()).into_iter().map(masked);
        let query = query.collect::<Vec<_>>().join("&");
        let version = head.start_line();
        let version = version.rsplit(' ').next().unwrap_or_default().to_owned();
        let fields = head.fields().into_iter();
        Self {
            start: format!("{} {}?{query} {version}", head.method(), head.path()),
            fields: fields
                .filter(|(name, _)| !name.eq_ignore_ascii_case("connection"))
                .map(|(name, value)| {
                    let value = general(&name, &value, server);
                    (name, value)
                })
                .collect(),
            chunked: head.has("transfer-encoding"),
            outline: outline(upload),
        }
    }
}

fn masked((name, value): (String, String)) -> String {
    match name.as_str() {
        "from" | "until" => format!("{name}={}", "*".repeat(value.len())),
        _ => format!("{name}={value}"),
    }
}

/// A value without the parts that differ from request to request.
fn general(name: &str, value: &str, server: SocketAddr) -> String {
    match name.to_ascii_lowercase().as_str() {
        "content-length" => "LENGTH".to_owned(),
        "host" if value == server.to_string() => "SERVER".to_owned(),
        "content-type" => match value.split_once("boundary=") {
            // Boundaries of undici differ in length, so the whole boundary is masked.
            Some((before, _)) => format!("{before}boundary=*"),
            None => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

fn outline(upload: &Upload) -> Vec<String> {
    let body = &upload.body;
    if upload.head.path() == push::PATH {
        let series = push::read(&upload.head, body);
        let label = |(name, value)| format!("{name}={value}");
        let labels = series.into_iter().flat_map(|series| series.labels);
        let mut labels: Vec<_> = labels.map(label).collect();
        // The agents in Rust keep tags in a hash map, whose order differs between processes.
        labels.sort();
        return labels;
    }
    let kind = upload.head.get("content-type").unwrap_or_default();
    if kind.starts_with("multipart/") {
        let text = String::from_utf8_lossy(body);
        return text
            .lines()
            .filter(|line| line.starts_with("Content-"))
            .map(str::to_owned)
            .collect();
    }
    vec![format!("{:02x?}", &body[..body.len().min(2)])]
}
