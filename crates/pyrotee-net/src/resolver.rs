//! Resolves host names.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec::IntoIter;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Longest time for which a failed lookup is cached, even if the zone allows more: a Kubernetes Service
/// can appear minutes after the pods that name it.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Resolves host names with the system's configuration (`/etc/resolv.conf` with its search list and `ndots`,
/// `/etc/hosts`). Clones share one cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<TokioResolver>,
}

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {name}: {}", why(.cause))]
pub struct ResolveError {
    name: String,
    cause: NetError,
}

/// The reason why a name does not resolve. For a name that does not exist, hickory's own text would be the
/// query in `Debug` format.
fn why(cause: &NetError) -> String {
    if cause.is_no_records_found() {
        "there is no address of that name".to_owned()
    } else {
        cause.to_string()
    }
}

impl Resolver {
    /// The system's resolver. Without a readable `/etc/resolv.conf` the name server is the local
    /// host, as in glibc.
    ///
    /// # Errors
    ///
    /// If the system's configuration names no usable name server.
    pub fn system() -> Result<Self, ResolveError> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "no resolver configuration"
            );
            let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let config = ResolverConfig::from_name_servers(vec![local]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        });
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.negative_max_ttl = Some(NEGATIVE_TTL);
        let inner = builder.build().map_err(|cause| ResolveError {
            name: "any name: /etc/resolv.conf cannot be used".to_owned(),
            cause,
        })?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The addresses of `name`, which may be an IP address.
    ///
    /// # Errors
    ///
    /// If the name has no address, or no name server answers.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let found = self.inner.lookup_ip(name).await;
        let found = found.map_err(|cause| ResolveError {
            name: name.to_owned(),
            cause,
        })?;
        Ok(found.iter().collect())
    }
}

impl Service<Name> for Resolver {
    type Response = IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            // The connector replaces the port.
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn localhost_needs_no_name_server() {
        let resolver = Resolver::system().unwrap();
        let addresses = resolver
            .oneshot("localhost".parse().unwrap())
            .await
            .unwrap();
        let addresses: Vec<_> = addresses.collect();
        assert!(!addresses.is_empty());
        assert!(
            addresses.iter().all(|address| address.ip().is_loopback()),
            "{addresses:?}"
        );
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told() {
        let resolver = Resolver::system().unwrap();
        // Reserved never to exist (RFC 6761): hickory sends no query for this name.
        let asked = resolver.oneshot("nowhere.invalid".parse().unwrap()).await;
        assert_eq!(
            asked.err().map(|error| error.to_string()).as_deref(),
            Some("cannot resolve nowhere.invalid: there is no address of that name")
        );
    }
}
