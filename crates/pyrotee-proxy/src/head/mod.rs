//! Heads of requests and responses in transit: removes hop-by-hop headers and adds
//! `X-Forwarded-*`. All other headers keep their value and order.

mod forwarded;
mod grpc;
mod hop_by_hop;
mod prepare;
mod uri;

use http::{HeaderMap, HeaderName};

pub(crate) use forwarded::{add_forwarded, count_proxies, first_forwarded_for};
pub(crate) use grpc::{declare_grpc_trailers, is_grpc, speaks_grpc, takes_grpc_trailers};
pub(crate) use hop_by_hop::requested_upgrade;
pub(crate) use prepare::{prepare_request, prepare_response};
pub(crate) use uri::upstream_uri;

/// Maximum number of header fields of a request (more: 431) and of a response. hyper reserves
/// space for all of them for each head that it reads; 1,000 fields would cost 64 KB per head.
pub(crate) const MAX_FIELDS: usize = 128;

/// Returns the elements of a comma-separated header, over all fields of that name.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|element| !element.is_empty())
}

/// Whether a comma-separated header has the element `wanted`, in any case.
fn has_element(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(wanted))
}
