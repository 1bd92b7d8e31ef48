//! Everything that the listener serves, and the parts of it that handlers extract.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::{Actions, AdminTls, Guard, Health, Hosts, LetterService, Pages, Reload};

/// Everything that the listener serves.
#[derive(Debug)]
pub struct Site {
    /// TLS of the listener; `None` for plain HTTP. Whether a client needs a certificate is decided by the guard.
    pub tls: Option<AdminTls>,
    pub pages: Arc<Pages>,
    pub guard: Guard,
    pub hosts: Hosts,
    pub actions: Arc<Actions>,
    pub reload: Arc<dyn Reload>,
    /// `None` if the relay keeps no dead letters.
    pub dead_letters: Option<Arc<LetterService>>,
}

/// The state of the router. A handler extracts its own part with [`State`](axum::extract::State), so that it does not
/// depend on the whole site.
#[derive(Debug, Clone)]
pub(crate) struct SharedSite(pub(crate) Arc<Site>);

impl FromRef<SharedSite> for Arc<Pages> {
    fn from_ref(SharedSite(site): &SharedSite) -> Self {
        Arc::clone(&site.pages)
    }
}

impl FromRef<SharedSite> for Arc<Health> {
    fn from_ref(SharedSite(site): &SharedSite) -> Self {
        Arc::clone(&site.pages.health)
    }
}

impl FromRef<SharedSite> for Arc<Actions> {
    fn from_ref(SharedSite(site): &SharedSite) -> Self {
        Arc::clone(&site.actions)
    }
}

impl FromRef<SharedSite> for Arc<dyn Reload> {
    fn from_ref(SharedSite(site): &SharedSite) -> Self {
        Arc::clone(&site.reload)
    }
}

impl FromRef<SharedSite> for Option<Arc<LetterService>> {
    fn from_ref(SharedSite(site): &SharedSite) -> Self {
        site.dead_letters.clone()
    }
}
