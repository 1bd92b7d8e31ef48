//! The built-in rules for error responses of Pyroscope, of Alloy and of gateways. To classify another
//! response, add its text or write a new rule, and name the source; `tests/seen.rs` lists the responses
//! that were seen.
//!
//! Statuses that a Pyroscope gives to several causes are decided by the code and the reason in the
//! response, see [`ErrorText`]; without one that is known, and for every other status, the status
//! decides. A gateway's 502 to 504 and a refusal of the credentials or of the path mean the same with
//! any text.
//!
//! In a response with a text the order is:
//!
//! - limits, whatever the code: old Pyroscopes give theirs any code;
//! - the code of connect or gRPC;
//! - reasons without a code: of the configuration, of a refusal, of a failure.

use super::Meaning::{self, Broken, Rejected, Throttled, Transient, Unknown};
use super::error_text::ErrorText;
use super::limits;
use crate::error_response::RpcCode;

/// The statuses whose text is read. Pyroscope gives 422 to refusals, failures and, before 2.2, to limits
/// (grafana/pyroscope#5372), 500 to refusals of OTLP and of damaged profiles, and Alloy gives 500 to all
/// errors of its own targets.
const WITH_TEXT: [u16; 4] = [400, 422, 429, 500];

/// Plain http to a listener that speaks TLS: nginx, and the server of Go.
const PLAIN_HTTP: &[&str] = &[
    "the plain http request was sent to https port",
    "client sent an http request to an https server",
];

/// A tenant that Pyroscope does not accept: it is in the target's configuration here.
const TENANT: &[&str] = &[
    "no org id",
    "multiple org ids present",
    "too many org ids",
    "tenant id '",
    "tenant id is ",
    "failed to extract tenant id",
];

/// What makes a profile one that Pyroscope never takes: its `pkg/validation` (window, labels, sizes,
/// ids), its converters of OTLP and pprof, and the parsers of `/ingest` in both generations.
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

/// The end of a body that is too short: of a damaged profile, or of a transfer that was cut off.
const CUT_OFF: &[&str] = &["unexpected eof", "eof"];

/// What a failure says without a code: the ring (`at least 1 live replicas required, could only find 0`,
/// grafana/pyroscope#3372), contexts of Go, sockets behind the server.
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
    // Whatever else a 429 says, it asks for a pause.
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
        // Alloy passes them on from its own target. A path that is not routed is `unimplemented`.
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
    if status == 400 && text.starts_with(PLAIN_HTTP) || text.starts_with(TENANT) {
        return Some(Broken);
    }
    match status {
        422 | 500 if text.starts_with(REFUSALS) => Some(Rejected),
        // The upload was cut off, or the profile in it: a few tries tell.
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
        // 499 is `canceled` of connect; a body that did not arrive in time or whole is 408.
        408 | 425 | 499 => Transient,
        // A redirect is not followed; credentials, tenant, address, method, content type or version of
        // HTTP are wrong, or profiles are not known there.
        300..=399 | 401..=405 | 407 | 410 | 415 | 421 | 426 | 501 | 505 => Broken,
        500..=599 => Transient,
        _ => Unknown,
    }
}
