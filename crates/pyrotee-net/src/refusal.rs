//! Refuses addresses that a connection may not lead to, such as those of a list that somebody else writes.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower::{BoxError, Service};

use crate::{Resolver, port_of};

/// Why a connection may not lead to an address, and what an operator does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRefusal {
    /// What the address is, such as `a loopback address`.
    pub what: &'static str,
    /// One imperative sentence without a full stop.
    pub remedy: &'static str,
}

/// Decides which addresses are refused. Clones share the decision.
#[derive(Clone)]
pub(crate) struct Refusals(Arc<dyn Fn(SocketAddr) -> Option<AddressRefusal> + Send + Sync>);

/// An address to which no connection may lead.
#[derive(Debug, thiserror::Error)]
#[error("connections to {address} are refused: it is {}", .refusal.what)]
pub(crate) struct RefusedAddress {
    address: IpAddr,
    pub(crate) refusal: AddressRefusal,
}

impl Refusals {
    pub(crate) fn new(
        refuses: impl Fn(SocketAddr) -> Option<AddressRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(refuses))
    }

    /// Checks the host of `uri` if it is an IP address. The addresses of a name are checked by a [`CheckedResolver`].
    pub(crate) fn check_literal(&self, uri: &Uri) -> Result<(), RefusedAddress> {
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match bare.unwrap_or(host).parse() {
            Ok(ip) => self.check(ip, port_of(uri)),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, ip: IpAddr, port: u16) -> Result<(), RefusedAddress> {
        match (self.0)(SocketAddr::new(ip, port)) {
            Some(refusal) => Err(RefusedAddress {
                address: ip,
                refusal,
            }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusals")
    }
}

/// Resolves names for connections to one port, and leaves refused addresses out. The check is part of the lookup of the
/// connection itself, so that a name that resolves to another address each time (DNS rebinding) cannot pass it.
#[derive(Clone)]
pub(crate) struct CheckedResolver {
    resolver: Resolver,
    refusals: Refusals,
    port: u16,
}

impl CheckedResolver {
    pub(crate) fn new(resolver: Resolver, refusals: Refusals, uri: &Uri) -> Self {
        Self {
            resolver,
            refusals,
            port: port_of(uri),
        }
    }
}

impl Service<Name> for CheckedResolver {
    type Response = IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.resolver.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.resolver.call(name);
        let (refusals, port) = (self.refusals.clone(), self.port);
        Box::pin(async move { Ok(allowed(&refusals, port, resolving.await?)?) })
    }
}

/// The addresses that are not refused. If all are refused, the first refusal is the error.
fn allowed(
    refusals: &Refusals,
    port: u16,
    addresses: IntoIter<SocketAddr>,
) -> Result<IntoIter<SocketAddr>, RefusedAddress> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in addresses {
        match refusals.check(address.ip(), port) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if allowed.is_empty() => Err(error),
        _ => Ok(allowed.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use pyrotee_tls::testing::{Authority, ca};

    use super::*;
    use crate::{Connector, ExchangeErrorKind};

    fn refuse_loopback(address: SocketAddr) -> Option<AddressRefusal> {
        let refusal = AddressRefusal {
            what: "a loopback address",
            remedy: "write another one",
        };
        address.ip().to_canonical().is_loopback().then_some(refusal)
    }

    #[tokio::test]
    async fn neither_an_address_nor_a_name_leads_to_a_refused_address() {
        let tls = ca(&Authority::new("test").pem()).tls();
        let connector =
            Connector::new(&Resolver::system().unwrap(), &tls).refusing(refuse_loopback);
        for origin in [
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "http://[::ffff:127.0.0.1]:9",
            "https://localhost",
        ] {
            let error = connector.open(origin.parse().unwrap()).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.ends_with("it is a loopback address"),
                "{origin}: {text}"
            );
            assert_eq!(error.kind(), ExchangeErrorKind::Connect);
            assert_eq!(error.remedy(), "write another one");
        }
    }

    #[test]
    fn the_other_addresses_of_a_name_stay() {
        let refusals = Refusals::new(refuse_loopback);
        let addresses = |texts: &[&str]| {
            let addresses = texts
                .iter()
                .map(|it| SocketAddr::new(it.parse().unwrap(), 0));
            addresses.collect::<Vec<_>>().into_iter()
        };
        let left = allowed(&refusals, 80, addresses(&["127.0.0.1", "10.0.0.7", "::1"]));
        assert_eq!(
            left.unwrap().collect::<Vec<_>>(),
            addresses(&["10.0.0.7"]).collect::<Vec<_>>()
        );
        assert!(allowed(&refusals, 80, addresses(&["127.0.0.1"])).is_err());
        assert_eq!(allowed(&refusals, 80, addresses(&[])).unwrap().len(), 0);
    }

    #[test]
    fn the_port_is_part_of_the_check() {
        let refusals = Refusals::new(|address| {
            let refusal = refuse_loopback("127.0.0.1:1".parse().unwrap());
            refusal.filter(|_| [80, 443, 4040].contains(&address.port()))
        });
        for (uri, is_refused) in [
            ("http://10.0.0.7", true),
            ("https://10.0.0.7", true),
            ("http://10.0.0.7:4040", true),
            ("http://10.0.0.7:4041", false),
            ("http://a.example:4040", false),
        ] {
            let checked = refusals.check_literal(&uri.parse().unwrap());
            assert_eq!(checked.is_err(), is_refused, "{uri}");
        }
    }
}
