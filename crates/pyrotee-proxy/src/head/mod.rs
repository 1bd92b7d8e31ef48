//! Heads of requests and responses in transit: removes hop-by-hop headers and adds
//! `X-Forwarded-*`. All other headers keep their value and order.

mod forwarded;
mod grpc;
mod hop_by_hop;
mod prepare;
mod uri;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use forwarded::{add_forwarded, first_forwarded_for, has_passed_proxies};
pub(crate) use grpc::{declare_grpc_trailers, is_grpc, speaks_grpc, takes_grpc_trailers};
pub(crate) use hop_by_hop::requested_upgrade;
pub(crate) use prepare::{prepare_request, prepare_response};
pub(crate) use uri::{host_of, upstream_uri};

/// Maximum number of header fields of a request (more: 431) and of a response. hyper reserves
/// space for all of them for each head that it reads; 1,000 fields would cost 64 KB per head.
pub(crate) const MAX_FIELDS: usize = 128;

/// Maximum number of elements that are read from a comma-separated header. A client chooses their number, and a head
/// has room for 100,000. No sender needs more than the maximum: `Connection`, the longest of these headers, lists
/// headers of its own message, which has at most [`MAX_FIELDS`].
const MAX_ELEMENTS: usize = MAX_FIELDS;

/// Returns the elements of a comma-separated header, over all fields of that name: the first
/// [`MAX_ELEMENTS`], from which empty ones are left out.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    pieces(headers, name)
        .take(MAX_ELEMENTS)
        .filter(|element| !element.is_empty())
}

/// Returns the texts between the commas of a header, over all fields of that name.
fn pieces<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let pieces = values.flat_map(|value| value.split(|byte| *byte == b','));
    pieces.map(<[u8]>::trim_ascii)
}

/// Whether a comma-separated header has the element `wanted`, in any case.
fn has_element(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(wanted.as_bytes()))
}
