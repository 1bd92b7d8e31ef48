//! What handshakes have shown about a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use crate::not_after;

/// No certificate was seen yet.
const UNKNOWN: u64 = u64::MAX;

/// What the handshakes of one [`ClientTls`](crate::ClientTls) have shown about the server. A clone shows the
/// same.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    /// Seconds since 1970.
    server_not_after: AtomicU64,
    asked: AtomicBool,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Seen {
            server_not_after: AtomicU64::new(UNKNOWN),
            asked: AtomicBool::new(false),
        }))
    }

    /// When the server's certificate expires, as the last full handshake showed it, one that failed included.
    /// `None` before the first handshake.
    pub fn server_not_after(&self) -> Option<SystemTime> {
        match self.0.server_not_after.load(Relaxed) {
            UNKNOWN => None,
            seconds => Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        }
    }

    /// Whether the server has asked for a certificate in any handshake.
    pub fn server_asks_for_certificate(&self) -> bool {
        self.0.asked.load(Relaxed)
    }

    pub(crate) fn saw(&self, leaf: &[u8]) {
        let since = not_after(leaf).and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(since) = since {
            self.0.server_not_after.store(since.as_secs(), Relaxed);
        }
    }
}

/// Shows the configured certificate to a server that asks, and notes that the server asked.
#[derive(Debug)]
pub(crate) struct OwnCertificate {
    pub(crate) identity: Option<Arc<CertifiedKey>>,
    pub(crate) observer: Observer,
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.observer.0.asked.store(true, Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}
