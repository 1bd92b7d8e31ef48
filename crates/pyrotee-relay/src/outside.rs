//! Connectors to the upstream and the targets.

use anyhow::Context as _;
use pyrotee_net::{Connector, Resolver};
use pyrotee_tls::{ClientTls, SystemRoots};

/// Makes the connectors to the upstream and the targets, which share one cache of names and one set of root
/// certificates.
#[derive(Debug)]
pub(super) struct Outside {
    resolver: Resolver,
    roots: SystemRoots,
}

impl Outside {
    /// `roots` verify servers for which the configuration has no TLS of its own.
    pub(super) fn open(roots: SystemRoots) -> anyhow::Result<Self> {
        Ok(Self {
            resolver: Resolver::system().context("failed to read the resolver configuration")?,
            roots,
        })
    }

    /// The cache of names.
    #[cfg(feature = "jetstream")]
    pub(super) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// A connector to a target.
    pub(super) fn connector(&self) -> anyhow::Result<Connector> {
        Ok(Connector::new(&self.resolver, &self.tls()?))
    }

    /// The connectors to the upstream: for HTTP/1.1, and for gRPC.
    pub(super) fn upstream_connectors(&self) -> anyhow::Result<(Connector, Connector)> {
        let tls = self.tls()?;
        let http1 = Connector::new(&self.resolver, &tls);
        Ok((http1, Connector::http2(&self.resolver, &tls)))
    }

    /// TLS for one server: what it keeps of a server is not shared with others.
    fn tls(&self) -> anyhow::Result<ClientTls> {
        ClientTls::system(&self.roots).context("failed to prepare https")
    }
}
