//! The host names under which the admin listener serves requests.
//!
//! A page in a browser can have the name of its own server resolve to this machine (DNS rebinding) and then
//! read the relay's responses as if its own server had sent them. The `Host` of such a request is that foreign name,
//! and the listener refuses the request. Names that nobody can own in the public DNS always pass.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::HOST;
use http::request::Parts;

use crate::response::Failure;

/// Domains of Kubernetes clusters, which the public DNS does not have.
const CLUSTER: [&str; 2] = [".svc", ".cluster.local"];

/// Longest host name that a refusal quotes, in characters.
const LONGEST_SHOWN: usize = 253;

/// The host names that pass, beside those that always pass. Clones share the names of the configuration.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// The machine's own name.
    own: String,
    /// The names of `admin-hosts`.
    configured: Arc<ArcSwap<Vec<String>>>,
}

/// The host of a request that is not a name of this relay.
#[derive(Debug)]
pub(super) struct Misdirected(String);

impl Hosts {
    /// `configured` names are in lower case; `*.` at the start stands for one or more labels. `own` is the name of
    /// this machine.
    pub fn new(own: &str, configured: Vec<String>) -> Self {
        Self {
            own: plain(own),
            configured: Arc::new(ArcSwap::from_pointee(configured)),
        }
    }

    /// Replaces the configured names, in the form that [`Hosts::new`] takes, for all clones and every later request.
    pub fn set(&self, configured: Vec<String>) {
        self.configured.store(Arc::new(configured));
    }

    /// Whether the host of a request passes. If the request target is absolute, its authority is the host
    /// (RFC 9112 §3.2.2). A request without a host passes: browsers always send a host.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Misdirected> {
        if let Some(authority) = head.uri.authority() {
            return self.check_one(authority.as_str().as_bytes());
        }
        let hosts = head.headers.get_all(HOST);
        hosts
            .iter()
            .try_for_each(|host| self.check_one(host.as_bytes()))
    }

    fn is_configured(&self, host: &str) -> bool {
        let names = self.configured.load();
        names.iter().any(|name| matches(name, host))
    }

    fn check_one(&self, host: &[u8]) -> Result<(), Misdirected> {
        match str::from_utf8(host) {
            Ok(host) if self.passes(host) => Ok(()),
            _ => Err(Misdirected(String::from_utf8_lossy(host).into_owned())),
        }
    }

    fn passes(&self, host: &str) -> bool {
        if host.is_empty() {
            return true;
        }
        if let Some(rest) = host.strip_prefix('[') {
            let address = rest.split_once(']').map(|(address, _)| address);
            return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        }
        let host = plain(host.split_once(':').map_or(host, |(host, _port)| host));
        !host.is_empty()
            && host.bytes().all(is_of_a_name)
            && (!host.contains('.')
                || host.parse::<Ipv4Addr>().is_ok()
                || host == self.own
                || CLUSTER.iter().any(|domain| host.ends_with(domain))
                || self.is_configured(&host))
    }
}

/// A host name in lower case, without the final dot of an absolute name.
fn plain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn matches(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        Some(domain) => host.len() > domain.len() && host.ends_with(domain),
        None => name == host,
    }
}

impl Misdirected {
    /// The response to the misdirected request.
    pub(super) fn response(&self) -> Response {
        let host: String = self.0.chars().take(LONGEST_SHOWN).collect();
        let text = format!(
            "`{host}` is not known as a name of this relay: add it to admin-hosts in its configuration, or ask by its IP address"
        );
        Failure::new(StatusCode::MISDIRECTED_REQUEST, text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(target: &str, hosts: &[&[u8]]) -> bool {
        let configured = ["relay.example.com", "*.corp.example"].map(str::to_owned);
        let known = Hosts::new("Node-7.Internal.example.", configured.into());
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let checked = known.check(&head);
        if let Err(misdirected) = &checked {
            assert_eq!(
                misdirected.response().status(),
                StatusCode::MISDIRECTED_REQUEST
            );
        }
        checked.is_ok()
    }

    #[test]
    fn names_that_nobody_can_own_and_configured_ones_pass() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4041",
            "10.1.2.3",
            "[::1]",
            "[::1]:4041",
            "[FE80::1]",
            "localhost",
            "LocalHost:80",
            "localhost.",
            "relay",
            "pyrotee-admin:4041",
            "pyrotee-admin.observability.svc",
            "pyrotee-admin.observability.svc.cluster.local.",
            "node-7.internal.example",
            "relay.example.com",
            "Relay.Example.Com.:4041",
            "a.corp.example",
            "a.b.corp.example",
            "",
        ] {
            assert!(check("/api/v1/status", &[host.as_bytes()]), "{host}");
        }
        assert!(check("/api/v1/status", &[]), "no Host");
    }

    #[test]
    fn names_of_others_do_not() {
        for host in [
            "evil.example",
            "evil.example:4041",
            "relay.example.com.evil.example",
            "xrelay.example.com",
            "corp.example",
            "xcorp.example",
            "svc.example",
            "x.svc.example",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433.example",
            "localhost.evil.example",
            "[::1",
            "[evil.example]",
            "::1",
            "a b",
            "127.0.0.1@evil.example",
            ".",
            ":4041",
        ] {
            assert!(!check("/api/v1/status", &[host.as_bytes()]), "{host}");
        }
        assert!(!check("/", &[b"\xff"]));
    }

    #[test]
    fn configured_names_change_for_the_next_request_of_all_clones() {
        let hosts = Hosts::new("relay", vec!["old.example".to_owned()]);
        let shared = hosts.clone();
        let passing = || ["old.example", "new.example"].map(|host| shared.passes(host));
        assert_eq!(passing(), [true, false]);
        hosts.set(vec!["new.example".to_owned()]);
        assert_eq!(passing(), [false, true]);
    }

    #[test]
    fn all_hosts_of_a_request_count() {
        assert!(check("/", &[b"localhost", b"relay"]));
        assert!(!check("/", &[b"localhost", b"evil.example"]));
    }

    #[test]
    fn the_authority_of_an_absolute_target_counts() {
        assert!(!check("http://evil.example/", &[b"localhost"]));
        assert!(check("http://localhost:4041/", &[b"evil.example"]));
        assert!(!check("http://me@evil.example/", &[b"localhost"]));
    }
}
