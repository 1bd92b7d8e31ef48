//! The URL of a profile.

use std::collections::BTreeMap;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pyroscope_wire::query::encode;
use pyroscope_wire::scrape::Profile;
use pyrotee_net::Address;

use super::Labels;

/// Bytes of a path that are percent-encoded: all but those that RFC 3986 allows in a path. A `%` is encoded as well, as
/// Pyroscope 0.37 does.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// Parameters of a query, each with its values.
pub(super) type Params<'p> = BTreeMap<&'p str, Vec<&'p str>>;

/// The parameters of `profile`. A label `__profile_NAME_param_KEY` replaces the first value of `KEY`.
pub(super) fn params<'p>(name: &str, profile: &'p Profile, labels: &'p Labels) -> Params<'p> {
    let configured = profile.params.iter();
    let mut params: Params<'_> = configured
        .map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    let prefix = format!("__profile_{name}_param_");
    for (label, value) in labels {
        let Some(key) = label.strip_prefix(&prefix).filter(|key| !key.is_empty()) else {
            continue;
        };
        let values = params.entry(key).or_default();
        match values.first_mut() {
            Some(first) => *first = value,
            None => values.push(value),
        }
    }
    params
}

/// The URL of a profile at `base`. A label `__profile_NAME_path` replaces the path.
///
/// # Errors
/// The URL is too long.
pub(super) fn of_profile(
    base: &Address,
    name: &str,
    profile: &Profile,
    params: &Params<'_>,
    labels: &Labels,
) -> Result<Uri, String> {
    let path = labels.get(&format!("__profile_{name}_path"));
    let path = path.unwrap_or(&profile.path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut text = format!("{slash}{}", utf8_percent_encode(path, IN_PATH));
    let pairs = params.iter();
    let pairs = pairs.flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    for (at, (key, value)) in pairs.enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(&encode(key));
        text.push('=');
        text.push_str(&encode(value));
    }
    match PathAndQuery::from_str(&text) {
        Ok(path) => Ok(base.with_path(path)),
        Err(_) => Err("path and parameters are too long for a URL: shorten them".to_owned()),
    }
}
