//! The kinds of failed exchanges, and what to do about each.

/// Why an exchange failed, as the `kind` label of the error counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeErrorKind {
    /// The host name did not resolve.
    Dns,
    /// Nobody accepted the connection, or it broke within the TLS handshake.
    Connect,
    /// The TLS handshake failed, the certificate is not trusted, or the peer ended TLS with an alert.
    Tls,
    /// A time limit ran out.
    Timeout,
    /// The connection broke, or the peer sent something that is not HTTP.
    Reset,
}

impl ExchangeErrorKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
    ];

    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
        }
    }

    /// What an operator does about the failure: one imperative sentence without a full stop, for logs, status and
    /// runbooks. It holds for the upstream and for a target.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Dns => {
                "check the host name in the address, and the DNS of the machine or pod on which the relay runs"
            }
            Self::Connect => {
                "check that a server listens at the address, and that no firewall or network policy is in between"
            }
            Self::Tls => {
                "check that the server's certificate is valid and trusted here (SSL_CERT_FILE), and that its port speaks TLS"
            }
            Self::Timeout => {
                "check the load of the server and the network in between, or raise the timeout"
            }
            Self::Reset => {
                "check the server's log and the proxies in between, and that the address has the right scheme and port"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_remedy_that_names_what_to_check() {
        for (kind, expected) in [
            (ExchangeErrorKind::Dns, "DNS"),
            (ExchangeErrorKind::Connect, "listens"),
            (ExchangeErrorKind::Tls, "certificate"),
            (ExchangeErrorKind::Timeout, "timeout"),
            (ExchangeErrorKind::Reset, "log"),
        ] {
            let remedy = kind.remedy();
            assert!(remedy.contains(expected), "{kind:?}: {remedy}");
            assert!(remedy.len() <= 120 && !remedy.ends_with('.'), "{remedy}");
        }
    }
}
