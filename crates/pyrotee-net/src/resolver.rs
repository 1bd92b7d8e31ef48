//! Names to addresses.

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

/// A name that did not resolve is asked for again after this time at the latest, whatever the zone
/// says: Services of Kubernetes appear minutes after the pods that name them.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Resolves names as the system is configured (`/etc/resolv.conf` with its search list and `ndots`,
/// `/etc/hosts`), with one cache for the whole process.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<TokioResolver>,
}

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("resolve {name}")]
pub struct ResolveError {
    name: String,
    #[source]
    source: NetError,
}

impl Resolver {
    /// The system's resolver. Without a readable `/etc/resolv.conf` the name server is the local
    /// host, as for glibc.
    ///
    /// # Errors
    ///
    /// If the configuration of the system names no usable server.
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
        let inner = builder.build().map_err(|source| ResolveError {
            name: "any name: /etc/resolv.conf cannot be used".to_owned(),
            source,
        })?;
        Ok(Self {
            inner: Arc::new(inner),
        })
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
        let resolver = Arc::clone(&self.inner);
        Box::pin(async move {
            let addresses =
                resolver
                    .lookup_ip(name.as_str())
                    .await
                    .map_err(|source| ResolveError {
                        name: name.as_str().to_owned(),
                        source,
                    })?;
            // The connector puts the port in.
            let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
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
}
