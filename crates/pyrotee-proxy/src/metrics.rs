//! Metrics of the request path.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use pyroscope_wire::Surface;
use pyrotee_net::server::{ClientFault, Phase};
use pyrotee_net::{ExchangeErrorKind, status_label};
use pyrotee_tls::HandshakeErrorKind;

use crate::client::Source;
use crate::upstream_limit::UpstreamLimit;

/// Requests by route and status.
pub const REQUESTS: &str = "pyroscope_relay_requests_total";
/// Time from a request's head to the end of its response.
pub const REQUEST_DURATION: &str = "pyroscope_relay_request_duration_seconds";
/// Sizes of ingested bodies, by their `Content-Length`.
pub const BODY_BYTES: &str = "pyroscope_relay_request_body_bytes";
/// Ingestion requests, by source, surface and format.
pub const INGESTED: &str = "pyroscope_relay_ingested_total";
/// Exchanges with the upstream that failed.
pub const UPSTREAM_ERRORS: &str = "pyroscope_relay_upstream_errors_total";
/// Requests sent again because their kept connection to the upstream ended without an answer.
pub const UPSTREAM_RETRIES: &str = "pyroscope_relay_upstream_retries_total";
/// Requests refused because the upstream was saturated.
pub const UPSTREAM_LIMIT: &str = "pyroscope_relay_upstream_limit_hits_total";
/// Requests whose body did not arrive, because of their client.
pub const CLIENT_ERRORS: &str = "pyroscope_relay_client_errors_total";
/// Ingestion requests by the result of the tee.
pub const TEE: &str = "pyroscope_relay_tee_total";
/// Uploads that look like profiles and are for no surface.
pub const UNRECOGNISED: &str = "pyroscope_relay_unrecognised_profiles_total";
/// Client connections and HTTP/2 streams ended by a timeout.
pub const CLIENT_TIMEOUTS: &str = "pyroscope_relay_client_timeouts_total";
/// Times that accepting paused at the connection limit.
pub const CONNECTION_LIMIT: &str = "pyroscope_relay_connection_limit_hits_total";
/// HTTP/2 streams refused because their heads, or those of the connection's open streams, are too large.
pub const REFUSED_STREAMS: &str = "pyroscope_relay_refused_streams_total";

/// Clients whose TLS handshake failed.
pub const HANDSHAKE_ERRORS: &str = "pyroscope_relay_tls_handshake_errors_total";

/// The `route` label of requests that are no ingestion.
const OTHER_ROUTE: &str = "other";

/// Registers the help texts of the series.
pub fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests by route (ingest, push, otlp, other) and status code of the response; 499: the client disconnected first."
    );
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "Time from the head of a request to the end of its answer, by route."
    );
    describe_histogram!(
        BODY_BYTES,
        Unit::Bytes,
        "Content-Length of ingestion requests that can be teed, by surface and format; chunked bodies have none."
    );
    describe_counter!(
        INGESTED,
        "Ingestion requests that can be teed, by source (pushed by a client, pulled by a scrape), surface and format."
    );
    describe_counter!(
        UPSTREAM_ERRORS,
        "Requests that the upstream did not answer, by kind of error."
    );
    describe_counter!(
        UPSTREAM_RETRIES,
        "Requests sent to the upstream again because a kept connection had ended without an answer."
    );
    describe_counter!(
        UPSTREAM_LIMIT,
        "Requests answered 503 because a limit on the use of the upstream was reached, by limit."
    );
    describe_counter!(
        CLIENT_ERRORS,
        "Requests whose body the client broke off, framed wrongly or stopped sending, by kind."
    );
    describe_counter!(TEE, "Ingestion requests by the result of the tee.");
    describe_counter!(
        UNRECOGNISED,
        "POST requests that look like profiles, but whose path is no ingestion path: relayed, not teed."
    );
    describe_counter!(
        CLIENT_TIMEOUTS,
        "Client connections and HTTP/2 streams ended by a timeout, by phase."
    );
    describe_counter!(
        CONNECTION_LIMIT,
        "Times that accepting paused because all connections were in use."
    );
    describe_counter!(
        REFUSED_STREAMS,
        "HTTP/2 streams refused because their heads, or those of the connection's other streams, are too large."
    );
    describe_counter!(
        HANDSHAKE_ERRORS,
        "Clients whose TLS handshake failed, by listener and kind."
    );
}

/// Result of the tee for an ingestion request: the `result` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TeeResult {
    Accepted,
    Refused,
    TooLarge,
    MemoryBudget,
    TooSlow,
    InvalidName,
    Undecodable,
    Incomplete,
    Loop,
    NotUnderstood,
    SkippedLocalRejected,
    Duplicate,
}

impl TeeResult {
    const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Refused,
        Self::TooLarge,
        Self::MemoryBudget,
        Self::TooSlow,
        Self::InvalidName,
        Self::Undecodable,
        Self::Incomplete,
        Self::Loop,
        Self::NotUnderstood,
        Self::SkippedLocalRejected,
        Self::Duplicate,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::MemoryBudget => "memory_budget",
            Self::TooSlow => "too_slow",
            Self::InvalidName => "invalid_name",
            Self::Undecodable => "undecodable",
            Self::Incomplete => "incomplete",
            Self::Loop => "loop",
            Self::NotUnderstood => "not_understood",
            Self::SkippedLocalRejected => "skipped_local_rejected",
            Self::Duplicate => "duplicate",
        }
    }
}

/// The phase in which a client was too slow and timed out: the `phase` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeoutPhase {
    /// The client sends a request's head.
    Head,
    /// The client sends a request's body.
    Body,
    /// The client reads a response.
    Response,
    /// The connection is idle: the client may send another request.
    Idle,
}

impl From<Phase> for TimeoutPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Head => Self::Head,
            Phase::Idle => Self::Idle,
            Phase::Response => Self::Response,
        }
    }
}

impl TimeoutPhase {
    const ALL: [Self; 4] = [Self::Head, Self::Body, Self::Response, Self::Idle];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Response => "answer",
            Self::Idle => "idle",
        }
    }
}

/// Handles of the request path's series. They are made once: looking up a series in the exporter costs
/// more than counting.
#[derive(Debug)]
pub(crate) struct ProxyMetrics {
    tee: [Counter; TeeResult::ALL.len()],
    upstream_errors: [Counter; ExchangeErrorKind::ALL.len()],
    upstream_limits: [Counter; UpstreamLimit::ALL.len()],
    client_faults: [Counter; ClientFault::ALL.len()],
    client_timeouts: [Counter; TimeoutPhase::ALL.len()],
    handshake_errors: [Counter; HandshakeErrorKind::ALL.len()],
    routes: Vec<RouteMetrics>,
    /// One entry per source, surface and format, added by the first profile.
    formats: RwLock<Vec<FormatMetrics>>,
    pub(crate) upstream_retries: Counter,
    pub(crate) connection_limit: Counter,
    pub(crate) refused_streams: Counter,
    pub(crate) unrecognised: Counter,
}

#[derive(Debug)]
struct RouteMetrics {
    name: &'static str,
    durations: Histogram,
    /// Responses with 200, which are the most frequent.
    ok: OnceLock<Counter>,
}

/// Series of one source, surface and format.
#[derive(Debug)]
struct FormatMetrics {
    source: Source,
    surface: Surface,
    format: &'static str,
    count: Counter,
    bytes: Histogram,
}

impl ProxyMetrics {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            tee: TeeResult::ALL.map(|result| counter!(TEE, "result" => result.as_str())),
            upstream_errors: ExchangeErrorKind::ALL
                .map(|kind| counter!(UPSTREAM_ERRORS, "kind" => kind.as_str())),
            upstream_limits: UpstreamLimit::ALL
                .map(|limit| counter!(UPSTREAM_LIMIT, "limit" => limit.as_str())),
            client_faults: ClientFault::ALL
                .map(|fault| counter!(CLIENT_ERRORS, "kind" => fault.as_str())),
            client_timeouts: TimeoutPhase::ALL
                .map(|phase| counter!(CLIENT_TIMEOUTS, "phase" => phase.as_str())),
            handshake_errors: HandshakeErrorKind::ALL.map(
                |kind| counter!(HANDSHAKE_ERRORS, "listener" => "data", "kind" => kind.as_str()),
            ),
            routes: Surface::NAMES
                .into_iter()
                .chain([OTHER_ROUTE])
                .map(RouteMetrics::new)
                .collect(),
            formats: RwLock::default(),
            upstream_retries: counter!(UPSTREAM_RETRIES),
            connection_limit: counter!(CONNECTION_LIMIT),
            refused_streams: counter!(REFUSED_STREAMS),
            unrecognised: counter!(UNRECOGNISED),
        })
    }

    pub(crate) fn tee_result(&self, result: TeeResult) {
        increment(&self.tee, result as usize);
    }

    pub(crate) fn upstream_error(&self, kind: ExchangeErrorKind) {
        increment(&self.upstream_errors, kind as usize);
    }

    pub(crate) fn upstream_limit(&self, limit: UpstreamLimit) {
        increment(&self.upstream_limits, limit as usize);
    }

    pub(crate) fn client_fault(&self, fault: ClientFault) {
        increment(&self.client_faults, fault as usize);
    }

    pub(crate) fn client_timeout(&self, phase: TimeoutPhase) {
        increment(&self.client_timeouts, phase as usize);
    }

    pub(crate) fn handshake_failed(&self, kind: HandshakeErrorKind) {
        increment(&self.handshake_errors, kind as usize);
    }

    /// Counts a request to `surface`; `None` counts as route `other`. The upstream chooses the status, so the label of
    /// the status has a closed set of values.
    pub(crate) fn request_ended(
        &self,
        surface: Option<Surface>,
        status: StatusCode,
        took: Duration,
    ) {
        let name = surface.map_or(OTHER_ROUTE, Surface::name);
        if let Some(route) = self.routes.iter().find(|route| route.name == name) {
            route.request_ended(status, took);
        }
    }

    /// Counts an ingestion request whose client announced `expected` bytes of body.
    pub(crate) fn ingested(
        &self,
        source: Source,
        surface: Surface,
        format: &'static str,
        expected: Option<u64>,
    ) {
        let is_it = |known: &&FormatMetrics| {
            known.source == source && known.surface == surface && known.format == format
        };
        let formats = self.formats.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = formats.iter().find(is_it) {
            return known.count(expected);
        }
        drop(formats);
        let first = FormatMetrics::new(source, surface, format);
        first.count(expected);
        // If two requests race to be the first, both handles count into the same series.
        let mut formats = self.formats.write().unwrap_or_else(PoisonError::into_inner);
        formats.push(first);
    }
}

impl RouteMetrics {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            durations: histogram!(REQUEST_DURATION, "route" => name),
            ok: OnceLock::new(),
        }
    }

    fn request_ended(&self, status: StatusCode, took: Duration) {
        let requests = || counter!(REQUESTS, "route" => self.name, "code" => status_label(status));
        match status {
            StatusCode::OK => self.ok.get_or_init(requests).increment(1),
            _ => requests().increment(1),
        }
        self.durations.record(took);
    }
}

impl FormatMetrics {
    fn new(source: Source, surface: Surface, format: &'static str) -> Self {
        Self {
            source,
            surface,
            format,
            count: counter!(
                INGESTED,
                "source" => source.as_str(), "surface" => surface.name(), "format" => format
            ),
            bytes: histogram!(BODY_BYTES, "surface" => surface.name(), "format" => format),
        }
    }

    fn count(&self, expected: Option<u64>) {
        self.count.increment(1);
        if let Some(bytes) = expected {
            #[expect(clippy::cast_precision_loss, reason = "histograms take f64")]
            self.bytes.record(bytes as f64);
        }
    }
}

fn increment(counters: &[Counter], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.increment(1);
    }
}
