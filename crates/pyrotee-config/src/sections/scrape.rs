//! The section `scrape`: limits of pull mode, and headers of the requests that carry scraped profiles.

use http::{HeaderMap, HeaderName, HeaderValue};
use pyrotee_scrape_config::{Job, Limits, Scrape};
use pyrotee_yaml::values;
use secrecy::ExposeSecret;

use super::headers;
use crate::reader::Scope;

/// Most loops, and most requests at once, that can be configured.
const MAX_COUNT: usize = 1_000_000;

/// The header of a tenant.
pub(crate) const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

pub(super) fn scrape(scope: &Scope<'_>, jobs: Option<Vec<Job>>) -> Option<Scrape> {
    let max_body = scope.parse("max-body", values::size);
    let max_unpacked = scope.parse("max-unpacked", values::size);
    let max_targets = scope.parse("max-targets", count);
    let max_concurrent = scope.parse("max-concurrent", count);
    let state_limit = scope.parse("state-limit", values::size);
    let tenant = headers::tenant(scope);
    let headers = headers::headers(scope);
    Some(Scrape {
        jobs: jobs?,
        limits: Limits {
            max_body: max_body?,
            max_unpacked: max_unpacked?,
            max_targets: max_targets?,
            max_concurrent: max_concurrent?,
            state_limit: state_limit?,
        },
        headers: {
            let mut map = HeaderMap::new();
            for (name, value) in headers? {
                let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
                value.set_sensitive(true);
                map.insert(name, value);
            }
            if let Some(tenant) = tenant? {
                map.insert(TENANT, HeaderValue::from_str(&tenant).ok()?);
            }
            map
        },
    })
}

/// A whole number above zero.
fn count(text: &str) -> Result<usize, String> {
    match values::count(text, MAX_COUNT)? {
        0 => Err("is zero; write a number above it".to_owned()),
        count => Ok(count),
    }
}
