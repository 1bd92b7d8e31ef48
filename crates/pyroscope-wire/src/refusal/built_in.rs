//! The built-in rules for error responses of Pyroscope and of gateways. To classify another response,
//! add its text to a rule or write a new rule, and name the source; `tests/seen.rs` lists the
//! responses that were seen.
//!
//! The first rule that matches decides, so the order matters:
//!
//! - texts that can only be a rate limit, whatever else the response says;
//! - the code of connect or gRPC that Pyroscope wrote before the reason. The reason may quote labels
//!   of the profile, and a label may have any text;
//! - the reasons, those of a refusal before those of a failure: if one profile has several series and
//!   the target refused some of them, a retry would be refused again for these and stored twice for
//!   the others;
//! - the status.

use self::StatusSet::{Class, OneOf};
use super::Meaning::{self, Broken, Rejected, Throttled, Transient};

/// Gives a meaning to the responses that have one of these statuses and one of these texts.
#[derive(Debug)]
pub(super) struct BuiltInRule {
    pub(super) statuses: StatusSet,
    /// Texts in lower case, of which the response contains one; empty for any response.
    pub(super) texts: &'static [&'static str],
    pub(super) meaning: Meaning,
}

/// The statuses of a rule.
#[derive(Debug)]
pub(super) enum StatusSet {
    OneOf(&'static [u16]),
    /// All statuses with this first digit: `Class(3)` is 300 to 399.
    Class(u16),
}

const fn rule(
    statuses: StatusSet,
    texts: &'static [&'static str],
    meaning: Meaning,
) -> BuiltInRule {
    BuiltInRule {
        statuses,
        texts,
        meaning,
    }
}

pub(super) const RULES: &[BuiltInRule] = &[
    // Plain http to a listener that speaks TLS: nginx, and the server of Go.
    rule(
        OneOf(&[400]),
        &[
            "plain http request was sent to https port",
            "client sent an http request to an https server",
        ],
        Broken,
    ),
    rule(OneOf(&[429]), &[], Throttled),
    // Grafana Pyroscope before 2.2 (grafana/pyroscope#5372): `/ingest` answers 422 to what Push
    // answers 429 to, and OTLP over HTTP 500. The codes are those of connect and of Go's gRPC, the
    // texts those of its distributor and of its limit of active series.
    rule(
        OneOf(&[400, 422, 500, 503]),
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
    rule(
        OneOf(&[400, 422]),
        &["invalid_argument", "code = invalidargument"],
        Rejected,
    ),
    // Codes of a failure behind the distributor, as connect and as Go's gRPC write them. The plain
    // words are not codes: `internal` is part of many paths and names.
    rule(
        OneOf(&[422]),
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
    rule(OneOf(&[400, 422, 500, 503]), &["rate limit"], Throttled),
    // What makes a profile one that Pyroscope never takes: its `pkg/validation` (window, labels,
    // sizes, ids), the parsers of `/ingest` in both generations, which write no code.
    rule(
        OneOf(&[422]),
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
    rule(
        OneOf(&[422]),
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
    rule(OneOf(&[400, 411, 413, 414, 416, 431]), &[], Rejected),
    // 499 is `canceled` of connect; a body that did not arrive in time or whole is 408.
    rule(OneOf(&[408, 425, 499]), &[], Transient),
    // A redirect is not followed; credentials, tenant, address, method, content type or version of
    // HTTP are wrong, or profiles are not known there.
    rule(Class(3), &[], Broken),
    rule(
        OneOf(&[401, 402, 403, 404, 405, 407, 410, 415, 421, 426, 501, 505]),
        &[],
        Broken,
    ),
    rule(Class(5), &[], Transient),
];

/// The meaning of a response by the first built-in rule that matches; `text` is in lower case.
pub(super) fn meaning(status: u16, text: &str) -> Option<Meaning> {
    RULES
        .iter()
        .find(|rule| rule.fits(status, text))
        .map(|rule| rule.meaning)
}

impl BuiltInRule {
    fn fits(&self, status: u16, text: &str) -> bool {
        let status_fits = match self.statuses {
            OneOf(statuses) => statuses.contains(&status),
            Class(digit) => status / 100 == digit,
        };
        status_fits && (self.texts.is_empty() || self.texts.iter().any(|part| text.contains(part)))
    }
}
