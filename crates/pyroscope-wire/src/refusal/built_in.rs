//! The built-in rules for error responses of Pyroscope, of Alloy and of gateways. To classify another
//! response, add its text or write a new rule, and name the source; `tests/seen.rs` lists the responses
//! that were seen.
//!
//! If a Pyroscope sends a status for several causes, the code and the reason in the response decide, see
//! [`ErrorText`]. Without a known code or reason, and for every other status, the status alone decides: a
//! gateway's 502 to 504 and a refusal of the credentials or of the path have the same meaning with any text.
//!
//! The text of a response is examined in this order:
//!
//! - limits, whatever the code: old Pyroscopes send errors about limits with any code;
//! - the code of connect or gRPC;
//! - reasons without a code: first faults of the configuration, then refusals, then failures.

use super::Meaning::{self, Broken, Rejected, Throttled, Transient, Unknown};
use super::error_text::ErrorText;
use super::limits;
use crate::error_response::RpcCode;

/// The statuses whose text is read. Pyroscope gives 422 to refusals, failures and, before 2.2, to limits
/// (grafana/pyroscope#5372), 500 to refusals of OTLP and of damaged profiles, and Alloy gives 500 to all
/// errors of its own targets.
const WITH_TEXT: [u16; 4] = [400, 422, 429, 500];

/// Reasons of nginx and of Go's server for plain HTTP on a port for TLS.
const PLAIN_HTTP: &[&str] = &[
    "the plain http request was sent to https port",
    "client sent an http request to an https server",
];

/// Titles of nginx's pages for a client certificate that is missing or does not verify. nginx ends the handshake first,
/// and then sends these pages with 400.
const CLIENT_CERTIFICATE: &[&str] = &[
    "no required ssl certificate was sent",
    "the ssl certificate error",
];

/// Reasons for a tenant that Pyroscope does not accept. The tenant is part of the target's configuration in
/// pyrotee.
const TENANT: &[&str] = &[
    "no org id",
    "multiple org ids present",
    "too many org ids",
    "tenant id '",
    "tenant id is ",
    "failed to extract tenant id",
];

/// Reasons for which Pyroscope never accepts a profile, from its `pkg/validation` (window, labels, sizes, ids),
/// its converters of OTLP and pprof, and the parsers of `/ingest` in both generations.
const REFUSALS: &[&str] = &[
    "profile with labels '",
    "the profile with labels '",
    "profile series '",
    "invalid labels '",
    "error at least one label pair is required",
    "at least one label pair is required",
    "service name is not provided",
    "not_in_ingestion_window",
    "invalid_labels",
    "max_label_names_per_series",
    "duplicate_label_names",
    "malformed",
    "location id is 0",
    "function id is 0",
    "sample type contains -",
    "invalid utf8",
    "no profiles received",
    "gzip reset: ",
    "copy to buffer: ",
    "proto: ",
    "missing profile metadata dictionary",
    "missing resource profiles",
    "failed to convert otel profile",
    "unknown schema",
    "unknown profile type",
    "pyroscopeingesteradapter failed to convert",
    "strconv.",
    "error happened while parsing request body",
    "jfr field is required",
    "unsupported client version",
];

/// Reasons for a body that ends too early: the profile is damaged, or the transfer was cut off.
const CUT_OFF: &[&str] = &["unexpected eof", "eof"];

/// Reasons of failures without a code: from the ring (`at least 1 live replicas required, could only find 0`,
/// grafana/pyroscope#3372), from contexts of Go, and from sockets behind the server.
const FAILURES: &[&str] = &[
    "at least ",
    "too many unhealthy instances",
    "empty ring",
    "unavailable",
    "service unavailable",
    "service is unavailable",
    "transport is closing",
    "connection error",
    "connection refused",
    "connection reset",
    "context deadline exceeded",
    "context canceled",
    "deadline exceeded",
    "dial tcp",
    "read tcp",
    "write tcp",
    "i/o timeout",
];

/// The meaning of a response by the built-in rules; `body` is the start of its decompressed body.
pub(super) fn meaning(status: u16, body: &str) -> Meaning {
    let by_text = WITH_TEXT.contains(&status).then(|| ErrorText::parse(body));
    by_text
        .and_then(|text| of_text(status, &text))
        .unwrap_or_else(|| of_status(status))
}

fn of_text(status: u16, text: &ErrorText) -> Option<Meaning> {
    if let Some(limit) = limits::meaning(text) {
        return Some(limit);
    }
    // A 429 with any other text is push-back: the status decides.
    if status == 429 {
        return None;
    }
    text.code
        .and_then(|code| of_code(status, code))
        .or_else(|| of_reason(status, text))
}

fn of_code(status: u16, code: RpcCode) -> Option<Meaning> {
    match code {
        RpcCode::ResourceExhausted => Some(Throttled),
        RpcCode::InvalidArgument | RpcCode::OutOfRange => Some(Rejected),
        // Alloy passes on these codes from its own target. `unimplemented` is the code for a path that is not
        // routed.
        RpcCode::Unauthenticated | RpcCode::PermissionDenied | RpcCode::Unimplemented => {
            Some(Broken)
        }
        RpcCode::Unavailable | RpcCode::DeadlineExceeded | RpcCode::Canceled | RpcCode::Aborted => {
            Some(Transient)
        }
        RpcCode::Internal if status == 422 => Some(Transient),
        RpcCode::Internal
        | RpcCode::Unknown
        | RpcCode::NotFound
        | RpcCode::AlreadyExists
        | RpcCode::FailedPrecondition
        | RpcCode::DataLoss => None,
    }
}

fn of_reason(status: u16, text: &ErrorText) -> Option<Meaning> {
    let is_tls = || text.starts_with(PLAIN_HTTP) || text.starts_with(CLIENT_CERTIFICATE);
    if status == 400 && is_tls() || text.starts_with(TENANT) {
        return Some(Broken);
    }
    match status {
        422 | 500 if text.starts_with(REFUSALS) => Some(Rejected),
        // Either the upload or the profile in it was cut off: a few tries tell which.
        500 if text.starts_with(CUT_OFF) => Some(Unknown),
        422 if text.is_parse_error || text.starts_with(CUT_OFF) => Some(Rejected),
        422 if text.starts_with(FAILURES) => Some(Transient),
        _ => None,
    }
}

fn of_status(status: u16) -> Meaning {
    match status {
        429 => Throttled,
        // 411, 414, 416 and 431 are about this request alone.
        400 | 411 | 413 | 414 | 416 | 431 => Rejected,
        // 499 is `canceled` of connect; 408 is sent for a body that did not arrive whole and in time.
        408 | 425 | 499 => Transient,
        // A redirect is not followed; credentials, tenant, address, method, content type or version of HTTP are
        // wrong, or the server does not accept profiles.
        300..=399 | 401..=405 | 407 | 410 | 415 | 421 | 426 | 501 | 505 => Broken,
        500..=599 => Transient,
        _ => Unknown,
    }
}
