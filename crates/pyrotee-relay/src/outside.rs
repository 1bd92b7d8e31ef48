//! Connectors to the upstream and the targets.

use anyhow::Context as _;
use pyrotee_net::{Connector, Resolver, Tls};

/// Makes the connectors to the upstream and the targets, which share one cache of names and one set of root
/// certificates.
#[derive(Debug)]
pub(super) struct Outside {
    resolver: Resolver,
    tls: Tls,
}

impl Outside {
    pub(super) fn open() -> anyhow::Result<Self> {
        Ok(Self {
            resolver: Resolver::system().context("failed to read the resolver configuration")?,
            tls: Tls::system().context("failed to prepare https")?,
        })
    }

    pub(super) fn connector(&self) -> Connector {
        Connector::new(&self.resolver, &self.tls)
    }

    pub(super) fn grpc_connector(&self) -> Connector {
        Connector::http2(&self.resolver, &self.tls)
    }
}
