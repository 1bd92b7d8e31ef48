//! The limits on the use of the upstream.

/// A limit on the use of the upstream: the `limit` label of `pyroscope_relay_upstream_limit_hits_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamLimit {
    /// Requests over connections of their own.
    Connections,
    /// Connections that switched protocols.
    Tunnels,
    /// gRPC calls, which are the streams of one connection.
    GrpcCalls,
}

impl UpstreamLimit {
    /// Every limit.
    pub(crate) const ALL: [Self; 3] = [Self::Connections, Self::Tunnels, Self::GrpcCalls];

    /// The value of the `limit` label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Tunnels => "tunnels",
            Self::GrpcCalls => "grpc_calls",
        }
    }

    /// What an operator does about requests above the limit: one imperative sentence without a full stop.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Connections => {
                "check why the upstream responds slowly, or raise upstream.max-connections and the limit on open files"
            }
            Self::Tunnels => {
                "close WebSockets that are not used, or raise upstream.max-connections"
            }
            Self::GrpcCalls => {
                "check why the upstream's gRPC calls last long, or raise the upstream's limit on HTTP/2 streams"
            }
        }
    }
}
