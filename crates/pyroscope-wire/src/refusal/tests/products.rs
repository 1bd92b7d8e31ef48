//! Responses of real products behind a relay: Pyroscope 2.x (both write paths), 1.21.1 and 0.37.2, and Alloy.
//! Parts of labels and addresses are shortened.

use crate::refusal::Meaning::{self, Broken, RecordLimit, Rejected, Throttled, Transient, Unknown};

/// Every response that was seen: status, text and meaning.
pub(super) const PRODUCTS: &[(u16, &str, Meaning)] = &[
    // Limits that single profiles exceed while other profiles are accepted.
    (
        429,
        r#"{"code":"resource_exhausted","message":"push series with index 0 and id 7f failed: resource_exhausted: Maximum active series limit exceeded (3/3), reduce the number of active streams"}"#,
        RecordLimit,
    ),
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed resource_exhausted: Maximum active series limit exceeded (3/3), reduce the number of active streams"}"#,
        RecordLimit,
    ),
    (
        429,
        "push rate limit (4.0 MiB) exceeded while adding 2.6 MiB",
        RecordLimit,
    ),
    (
        429,
        r#"{"code":"resource_exhausted","message":"push rate limit (4.0 MiB) exceeded while adding 12 KiB"}"#,
        Throttled,
    ),
    (
        429,
        r#"{"code":"resource_exhausted","message":"limit of 1.0 GiB/day reached for usage group team-a, next reset at 2026-08-01T00:00:00Z"}"#,
        RecordLimit,
    ),
    (
        429,
        r#"{"code":"resource_exhausted","message":"limit of 1.0 GiB/day reached, next reset at 2026-08-01T00:00:00Z"}"#,
        Throttled,
    ),
    (
        429,
        r#"{"code":"resource_exhausted","message":"message size 200237 is larger than configured max 104857"}"#,
        Rejected,
    ),
    (
        500,
        "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5000000 vs. 4194304)",
        Rejected,
    ),
    // Permanent refusals with 500: a Push of damaged or empty pprof.
    (
        500,
        r#"{"code":"unknown","message":"gzip reset: unexpected EOF"}"#,
        Rejected,
    ),
    (
        500,
        r#"{"code":"unknown","message":"gzip reset: EOF"}"#,
        Rejected,
    ),
    (
        500,
        r#"{"code":"unknown","message":"copy to buffer: unexpected EOF"}"#,
        Rejected,
    ),
    (
        500,
        r#"{"code":"unknown","message":"2 errors: gzip reset: EOF; invalid_argument: no profiles received"}"#,
        Rejected,
    ),
    (
        500,
        r#"{"code":"unknown","message":"unexpected EOF"}"#,
        Unknown,
    ),
    (500, "unexpected EOF\n", Unknown),
    // OTLP, also for an empty export.
    (
        500,
        "rpc error: code = InvalidArgument desc = missing profile metadata dictionary\n",
        Rejected,
    ),
    (
        500,
        "rpc error: code = InvalidArgument desc = failed to convert otel profile: invalid stack index: 99",
        Rejected,
    ),
    (
        500,
        "failed to convert otel profile: invalid stack index: 99",
        Rejected,
    ),
    (
        500,
        "failed to make a GRPC request: resource_exhausted: push rate limit (4.0 MiB) exceeded while adding 12 KiB",
        Throttled,
    ),
    (
        500,
        "failed to make a GRPC request: push series with index 0 and id  failed: invalid_argument: profile with labels '{}' is outside of ingestion window",
        Rejected,
    ),
    // A Push to Alloy, which wraps the response of its own target.
    (
        500,
        r#"{"code":"internal","message":"unable to append series {__name__=\"process_cpu\", span=\"} to appendable 0: unavailable: \"} to appendable 0: failed to push to endpoint http://pyroscope:4040 (0 retries): invalid_argument: profile with labels '{}' is outside of ingestion window (profile timestamp: 1)"}"#,
        Rejected,
    ),
    (
        500,
        r#"{"code":"internal","message":"unable to append series {__name__=\"process_cpu\"} to appendable 0: failed to push to endpoint http://pyroscope:4040 (0 retries): unauthenticated: no org id"}"#,
        Broken,
    ),
    (
        500,
        r#"{"code":"internal","message":"unable to append series {__name__=\"process_cpu\"} to appendable 0: failed to push to endpoint http://pyroscope:4040 (10 retries): unavailable: dial tcp: lookup pyroscope: no such host"}"#,
        Transient,
    ),
    (
        500,
        r#"{"code":"internal","message":"unable to append series {__name__=\"process_cpu\"} to appendable 0: failed to push to endpoint http://pyroscope:4040 (10 retries): resource_exhausted: push rate limit (4.0 MiB) exceeded while adding 12 KiB"}"#,
        Throttled,
    ),
    (
        500,
        r#"{"code":"internal","message":"unable to append series {__name__=\"process_cpu\"} to appendable 0: failed to push to endpoint http://pyroscope:4040 (0 retries): unimplemented: 404 Not Found"}"#,
        Broken,
    ),
    (422, "Unprocessable Entity", Unknown),
    (404, "404 page not found\n", Broken),
    // A bad tenant.
    (
        422,
        r#"{"code":"unknown","message":"parsing IngestInput-pprof failed multiple org IDs present"}"#,
        Broken,
    ),
    (
        422,
        r#"{"code":"unknown","message":"parsing IngestInput-pprof failed tenant ID 'a b' contains unsupported character ' '"}"#,
        Broken,
    ),
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed unauthenticated: no org id"}"#,
        Broken,
    ),
    (
        401,
        r#"{"code":"unauthenticated","message":"multiple org IDs present"}"#,
        Broken,
    ),
    // Parsers of `/ingest`.
    (
        422,
        r#"{"code":"unknown","message":"Unknown schema: "}"#,
        Rejected,
    ),
    (
        422,
        r#"{"code":"unknown","message":"unexpected EOF"}"#,
        Rejected,
    ),
    (422, r#"{"code":"unknown","message":"EOF"}"#, Rejected),
    (
        422,
        "error happened while parsing request body: \"unexpected EOF\"",
        Rejected,
    ),
    // A Pyroscope that is stopping.
    (
        422,
        r#"{"code":"unknown","message":"pushing IngestInput-pprof failed unknown: rpc error: code = Unavailable desc = service is unavailable"}"#,
        Transient,
    ),
    (
        500,
        r#"{"code":"unknown","message":"rpc error: code = Unavailable desc = service is unavailable"}"#,
        Transient,
    ),
];
