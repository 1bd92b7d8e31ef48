//! Uploads that look like profiles and are for no surface: a client with a wrong path, or a surface that
//! this version does not know. They are relayed, and no target gets them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use http::{Method, Request};
use pyroscope_wire::surface::resembles_surface;
use pyrotee_queue::lock;

use crate::metrics::ProxyMetrics;

/// Number of routes that are logged; further routes are only counted. Clients choose the routes, so the
/// number bounds the memory.
const MAX_ROUTES: usize = 16;

/// Longest route that is logged and compared, in bytes.
const MAX_ROUTE_BYTES: usize = 120;

/// Counts lookalikes, and warns once of each of the first [`MAX_ROUTES`] routes.
#[derive(Debug)]
pub(crate) struct Lookalikes {
    /// The routes that were logged, in their escaped form.
    warned: Mutex<Vec<Box<str>>>,
    metrics: Arc<ProxyMetrics>,
}

impl Lookalikes {
    pub(crate) fn new(metrics: Arc<ProxyMetrics>) -> Self {
        Self {
            warned: Mutex::default(),
            metrics,
        }
    }

    /// Counts a request that is for no surface, if it looks like a profile.
    pub(super) fn see<B>(&self, request: &Request<B>) {
        let path = request.uri().path();
        if request.method() != Method::POST || !resembles_surface(path) {
            return;
        }
        self.metrics.unrecognised.increment(1);
        if let Some(route) = self.first_of(path) {
            tracing::warn!(
                route = &*route,
                "request looks like a profile, but its path is no ingestion path: relayed, not teed"
            );
        }
    }

    /// Returns the escaped route of `path`; `None` if it was logged before, or [`MAX_ROUTES`] routes were.
    fn first_of(&self, path: &str) -> Option<Box<str>> {
        let mut warned = lock(&self.warned);
        if warned.len() >= MAX_ROUTES {
            return None;
        }
        let route = visible(path);
        if warned.contains(&route) {
            return None;
        }
        warned.push(route.clone());
        Some(route)
    }
}

/// The start of a path, with everything escaped that is not printable ASCII.
fn visible(path: &str) -> Box<str> {
    let mut route = String::new();
    for c in path.chars() {
        let escaped = c.escape_default();
        if route.len() + escaped.len() > MAX_ROUTE_BYTES {
            route.push('…');
            break;
        }
        // Writing to a String never fails.
        write!(route, "{escaped}").unwrap_or_default();
    }
    route.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_new_once_and_only_so_many_are() {
        let lookalikes = Lookalikes::new(ProxyMetrics::new());
        assert_eq!(
            lookalikes.first_of("/a/ingest/").as_deref(),
            Some("/a/ingest/")
        );
        assert_eq!(lookalikes.first_of("/a/ingest/"), None);
        let new = (0..1000).filter_map(|n| lookalikes.first_of(&format!("/{n}/ingest/")));
        assert_eq!(new.count(), MAX_ROUTES - 1);
        assert_eq!(lock(&lookalikes.warned).len(), MAX_ROUTES);
    }

    #[test]
    fn a_route_is_bounded_and_visible() {
        assert_eq!(&*visible("/ü\n'/Push"), "/\\u{fc}\\n\\'/Push");
        let long = visible(&"ü".repeat(60_000));
        assert!(long.len() <= MAX_ROUTE_BYTES + '…'.len_utf8() && long.ends_with('…'));
    }
}
