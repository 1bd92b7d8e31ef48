//! The corpus: error responses that were seen from Pyroscopes and from gateways in front of them.

use crate::refusal::Meaning::{self, Broken, RecordLimit, Rejected, Throttled, Transient, Unknown};

/// Every response of the corpus: status, text and meaning.
pub(super) const SEEN: &[(u16, &str, Meaning)] = &[
    // Pyroscope 0.37.
    (
        400,
        "invalid parameter: \"name: application name is required\"\n",
        Rejected,
    ),
    (401, r#"{"errors":["invalid credentials"]}"#, Broken),
    (403, r#"{"errors":["permission denied"]}"#, Broken),
    (
        404,
        "<!doctype html><html><title>Pyroscope</title></html>",
        Broken,
    ),
    (405, "", Broken),
    (
        422,
        "error happened while parsing request body: \"EOF\"",
        Rejected,
    ),
    (
        500,
        "error happened while ingesting data: \"disk\"",
        Transient,
    ),
    (503, "", Transient),
    // Grafana Pyroscope, `/ingest`.
    (
        400,
        r#"{"code":"invalid_argument","message":"name: service name is required"}"#,
        Rejected,
    ),
    (
        400,
        r#"{"code":"invalid_argument","message":"pyroscopeIngesterAdapter failed to convert metadata: unknown profile type: seconds"}"#,
        Rejected,
    ),
    (
        401,
        r#"{"code":"unauthenticated","message":"no org id"}"#,
        Broken,
    ),
    (
        408,
        r#"{"code":"unknown","message":"error reading request body bytes_read 17: unexpected EOF"}"#,
        Transient,
    ),
    (
        413,
        r#"{"code":"invalid_argument","message":"request body too large: error reading request body bytes_read 9: http: request body too large"}"#,
        Rejected,
    ),
    (
        429,
        r#"{"code":"resource_exhausted","message":"push rate limit (4.0 MiB) exceeded while adding 5.1 MiB"}"#,
        RecordLimit,
    ),
    (
        499,
        r#"{"code":"canceled","message":"context canceled"}"#,
        Transient,
    ),
    (
        500,
        r#"{"code":"internal","message":"push failed"}"#,
        Transient,
    ),
    (
        503,
        r#"{"code":"unavailable","message":"no ingester"}"#,
        Transient,
    ),
    (
        504,
        r#"{"code":"deadline_exceeded","message":"context deadline exceeded"}"#,
        Transient,
    ),
    // A 422 of `/ingest` has three meanings. Refusals:
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed invalid_argument: invalid utf8 string hex: d614"}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"parsing IngestInput-pprof failed invalid_argument: proto: wrong wireType = 7 for field Period"}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"parsing IngestInput-pprof failed unexpected EOF"}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"strconv.Atoi: parsing \"FormData]\": invalid syntax"}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"jfr field is required"}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"unsupported client version. Please update github.com/grafana/pyroscope-go"}"#,
        Rejected,
    ),
    (
        422,
        "profile with labels '{a=\"b\"}' is outside of ingestion window (profile timestamp: 1, the ingestion window starts at 2 and ends at 3)",
        Rejected,
    ),
    (422, "not_in_ingestion_window", Rejected),
    (
        422,
        "error at least one label pair is required per profile",
        Rejected,
    ),
    (
        422,
        "invalid labels '{}' with error: invalid metric name",
        Rejected,
    ),
    (
        422,
        "invalid labels '{}' with error: service name is not provided",
        Rejected,
    ),
    (
        422,
        "profile series '{}' has 31 label names; limit 30",
        Rejected,
    ),
    (422, "max_label_names_per_series", Rejected),
    (
        422,
        "profile with labels '{}' has label name too long: 'x'",
        Rejected,
    ),
    (
        422,
        "profile with labels '{}' has label value too long: 'x'",
        Rejected,
    ),
    (
        422,
        "profile with labels '{}' has duplicate label name: 'x'",
        Rejected,
    ),
    (422, "duplicate_label_names", Rejected),
    (
        422,
        "the profile with labels '{}' exceeds the size limit (max_profile_size_byte, actual: 5, limit: 4)",
        Rejected,
    ),
    (
        422,
        "the profile with labels '{}' exceeds the samples count limit (max_profile_stacktrace_samples, actual: 5, limit: 4)",
        Rejected,
    ),
    (
        422,
        "the profile with labels '{}' exceeds the sample labels limit (max_profile_stacktrace_sample_labels, actual: 5, limit: 4)",
        Rejected,
    ),
    (422, "location id is 0", Rejected),
    (422, "function id is 0", Rejected),
    (422, "sample type contains -", Rejected),
    (422, "malformed_profile", Rejected),
    // Failures:
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed unavailable: no address"}"#,
        Transient,
    ),
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed deadline_exceeded: context deadline exceeded"}"#,
        Transient,
    ),
    (
        422,
        r#"{"code":"unknown","message":"canceled: rpc error: code = Canceled desc = context canceled"}"#,
        Transient,
    ),
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed internal: store"}"#,
        Transient,
    ),
    (422, r#"{"code":"internal","message":"store"}"#, Transient),
    (
        422,
        r#"{"code":"unknown","message":"rpc error: code = Unavailable desc = transport is closing"}"#,
        Transient,
    ),
    (
        422,
        r#"{"code":"unknown","message":"at least 1 live replicas required, could only find 0"}"#,
        Transient,
    ),
    (
        422,
        "at least 2 live replicas required, could only find 1 - unhealthy instances: 10.0.0.1:9095",
        Transient,
    ),
    (422, "too many unhealthy instances in the ring", Transient),
    (
        422,
        "dial tcp 10.0.0.1:9095: connect: connection refused",
        Transient,
    ),
    (422, "context deadline exceeded", Transient),
    // Limits:
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed resource_exhausted: push rate limit (4.0 MiB) exceeded while adding 5.1 MiB"}"#,
        RecordLimit,
    ),
    (
        422,
        "push rate limit (4.0 MiB) exceeded while adding 5.1 MiB",
        RecordLimit,
    ),
    (
        422,
        "push rate limit (4.0 MiB) exceeded while adding 20 KiB",
        Throttled,
    ),
    (
        422,
        "rpc error: code = ResourceExhausted desc = slow down",
        Throttled,
    ),
    (
        422,
        "resource_exhausted: limit of 1.0 GiB/month reached, next reset at 2026-08-01T00:00:00Z",
        Throttled,
    ),
    (
        422,
        "Maximum active series limit exceeded (5000/5000), reduce the number of active streams (reduce labels or reduce label values), or contact your administrator to see if the limit can be increased",
        RecordLimit,
    ),
    // Other texts with a 422.
    (422, "", Unknown),
    (
        422,
        r#"{"code":"unknown","message":"too many org IDs"}"#,
        Broken,
    ),
    (422, "the internal storage of 7 profiles", Unknown),
    // Push.
    (
        400,
        r#"{"code":"invalid_argument","message":"no profiles received"}"#,
        Rejected,
    ),
    (
        400,
        r#"{"code":"invalid_argument","message":"profile with labels '{}' is outside of ingestion window (profile timestamp: 1)"}"#,
        Rejected,
    ),
    (415, "", Broken),
    (
        429,
        r#"{"code":"resource_exhausted","message":"message size 300 is larger than configured max 256"}"#,
        Rejected,
    ),
    (
        501,
        r#"{"code":"unimplemented","message":"unknown compression \"br\""}"#,
        Broken,
    ),
    // OTLP.
    (400, "failed to parse request", Rejected),
    (413, "request body too large", Rejected),
    (
        500,
        "resource_exhausted: push rate limit (4.0 MiB) exceeded while adding 5.1 MiB",
        RecordLimit,
    ),
    (500, "failed to append", Transient),
    // Gateways in front of a Pyroscope.
    (
        301,
        "<a href=\"https://profiles.example.com/ingest\">Moved Permanently</a>",
        Broken,
    ),
    (308, "", Broken),
    (
        400,
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        Broken,
    ),
    (
        400,
        "Client sent an HTTP request to an HTTPS server.\n",
        Broken,
    ),
    (
        400,
        "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\r\n",
        Broken,
    ),
    (
        400,
        "<html>\r\n<head><title>400 The SSL certificate error</title></head>\r\n",
        Broken,
    ),
    (404, "404 page not found", Broken),
    (
        413,
        "<h1>413 Request Entity Too Large</h1><center>nginx</center>",
        Rejected,
    ),
    (400, "ingestion rate limit (100) reached", Throttled),
    (429, "", Throttled),
    (500, "", Transient),
    (502, "<h1>502 Bad Gateway</h1>", Transient),
    (
        503,
        "upstream connect error or disconnect/reset before headers",
        Transient,
    ),
    (503, "local rate limited: rate limit exceeded", Transient),
    (504, "<h1>504 Gateway Time-out</h1>", Transient),
];
