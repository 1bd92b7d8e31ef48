//! The built-in rows. To explain another answer, add its text to a row or write a new row, and name
//! the source; `tests/seen.rs` has the answers that were seen.
//!
//! The first row that fits decides, so that the order is part of the table:
//!
//! - what can only be a limit of the rate, whatever else a text says;
//! - the code of connect or gRPC that Pyroscope wrote in front of the reason. The reason behind it
//!   may quote labels of the profile, which may say anything;
//! - the reasons themselves, those of a refusal before those of a failure: of several series in one
//!   profile, the refused ones would be refused again and the stored ones doubled;
//! - the status.

use self::Statuses::{Hundreds, These};
use super::Meaning::{self, Broken, Rejected, Throttled, Transient};

/// Answers with one of these statuses and, if there are any, one of these texts.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) statuses: Statuses,
    /// In lower case; none is any text.
    pub(super) texts: &'static [&'static str],
    pub(super) meaning: Meaning,
}

/// Statuses of a row.
#[derive(Debug)]
pub(super) enum Statuses {
    These(&'static [u16]),
    /// All of 300 to 399, for 3.
    Hundreds(u16),
}

const fn row(statuses: Statuses, texts: &'static [&'static str], meaning: Meaning) -> Row {
    Row {
        statuses,
        texts,
        meaning,
    }
}

pub(super) const TABLE: &[Row] = &[
    // Plain http to a listener that speaks TLS: nginx, and the server of Go.
    row(
        These(&[400]),
        &[
            "plain http request was sent to https port",
            "client sent an http request to an https server",
        ],
        Broken,
    ),
    row(These(&[429]), &[], Throttled),
    // Grafana Pyroscope before 2.2 (grafana/pyroscope#5372): `/ingest` answers 422 to what Push
    // answers 429 to, and OTLP over HTTP 500. The codes are those of connect and of Go's gRPC, the
    // texts those of its distributor and of its limit of active series.
    row(
        These(&[400, 422, 500, 503]),
        &[
            "resource_exhausted",
            "resource exhausted",
            "code = resourceexhausted",
            "push rate limit",
            "rate limit exceeded",
            "active series limit exceeded",
        ],
        Throttled,
    ),
    // Codes of a refusal (`pushing IngestInput-pprof failed invalid_argument: …`).
    row(
        These(&[400, 422]),
        &["invalid_argument", "code = invalidargument"],
        Rejected,
    ),
    // Codes of a failure behind the distributor, as connect and as Go's gRPC write them. The plain
    // words are not codes: `internal` is part of many paths and names.
    row(
        These(&[422]),
        &[
            "\"code\":\"unavailable\"",
            "\"code\":\"deadline_exceeded\"",
            "\"code\":\"canceled\"",
            "\"code\":\"internal\"",
            "unavailable:",
            "deadline_exceeded",
            "canceled:",
            "internal:",
            "code = unavailable",
            "code = deadlineexceeded",
            "code = canceled",
            "code = internal",
        ],
        Transient,
    ),
    // Other ways to say so, mostly of gateways.
    row(These(&[400, 422, 500, 503]), &["rate limit"], Throttled),
    // What makes a profile one that Pyroscope never takes: its `pkg/validation` (window, labels,
    // sizes, ids), the parsers of `/ingest` in both generations, which write no code.
    row(
        These(&[422]),
        &[
            "outside of ingestion window",
            "not_in_ingestion_window",
            "invalid_labels",
            "invalid label",
            "label name too long",
            "label value too long",
            "duplicate label name",
            "duplicate_label_names",
            "label names; limit",
            "max_label_names_per_series",
            "at least one label pair is required",
            "service name is not provided",
            "exceeds the size limit",
            "exceeds the samples count limit",
            "exceeds the sample labels limit",
            "malformed",
            "location id is 0",
            "function id is 0",
            "sample type contains -",
            "invalid utf8",
            "strconv.",
            "parsing ingestinput",
            "error happened while parsing request body",
            "jfr field is required",
            "unsupported client version",
            "unknown profile type",
        ],
        Rejected,
    ),
    // What a failure says without a code: the ring (`at least 1 live replicas required, could only
    // find 0`, grafana/pyroscope#3372), contexts of Go, sockets behind the server.
    row(
        These(&[422]),
        &[
            "live replicas",
            "unhealthy instances",
            "empty ring",
            "unavailable",
            "deadline exceeded",
            "context deadline",
            "canceled",
            "connection refused",
            "connection reset",
            "i/o timeout",
        ],
        Transient,
    ),
    // Whatever the text. 411, 414, 416 and 431 are about this request alone.
    row(These(&[400, 411, 413, 414, 416, 431]), &[], Rejected),
    // 499 is `canceled` of connect; a body that did not arrive in time or whole is 408.
    row(These(&[408, 425, 499]), &[], Transient),
    // A redirect is not followed; credentials, tenant, address, method, content type or version of
    // HTTP are wrong, or profiles are not known there.
    row(Hundreds(3), &[], Broken),
    row(
        These(&[401, 402, 403, 404, 405, 407, 410, 415, 421, 426, 501, 505]),
        &[],
        Broken,
    ),
    row(Hundreds(5), &[], Transient),
];

/// What the table says of a status and, in lower case, a text.
pub(super) fn meaning(status: u16, text: &str) -> Option<Meaning> {
    TABLE
        .iter()
        .find(|row| row.fits(status, text))
        .map(|row| row.meaning)
}

impl Row {
    fn fits(&self, status: u16, text: &str) -> bool {
        let status_fits = match self.statuses {
            These(statuses) => statuses.contains(&status),
            Hundreds(hundreds) => status / 100 == hundreds,
        };
        status_fits && (self.texts.is_empty() || self.texts.iter().any(|part| text.contains(part)))
    }
}
