//! Where a redirect leads.

use http::{HeaderValue, Uri};
use url::Url;

use super::FetchError;

/// The URL to which a response of `from` redirects: on the same host, with the same scheme or https.
///
/// # Errors
/// The redirect leads elsewhere, or cannot be read.
pub(super) fn redirected(from: &Uri, location: &HeaderValue) -> Result<Uri, FetchError> {
    let text = String::from_utf8_lossy(location.as_bytes());
    let refused = |problem| FetchError::Redirect {
        to: shown(&text),
        problem,
    };
    let resolve = || {
        let from = Url::parse(&from.to_string()).ok()?;
        let mut to = from.join(&text).ok()?;
        to.set_fragment(None);
        Some((from, to))
    };
    let (from, to) = resolve().ok_or_else(|| refused("it cannot be read"))?;
    if to.host() != from.host() {
        let problem = "it leads to another host; write that host into the configuration";
        return Err(refused(problem));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err(refused("it contains a user"));
    }
    if to.scheme() != from.scheme() && to.scheme() != "https" {
        return Err(refused("it leads to another scheme than https"));
    }
    let to = to.as_str().parse();
    to.map_err(|_invalid| refused("it cannot be read"))
}

/// A location for an error: without its query, which may have secrets, and cut.
fn shown(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let path = path.rsplit_once('@').map_or(path, |(_user, rest)| rest);
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_host_and_do_not_leave_https() {
        for (from, location, expected) in [
            ("http://a:1/x/y", "/z?q=1", Some("http://a:1/z?q=1")),
            ("http://a:1/x/y", "z", Some("http://a:1/x/z")),
            ("http://a:1/x/y", "?q=2", Some("http://a:1/x/y?q=2")),
            ("http://a:1/x/y", "//A:2/z", Some("http://a:2/z")),
            ("http://a/x", "https://a/x#part", Some("https://a/x")),
            ("http://a/x", "http://b/x", None),
            ("http://a/x", "//b/x", None),
            ("https://a/x", "http://a/x", None),
            ("http://a/x", "ftp://a/x", None),
            ("http://a/x", "http://u:p@a/x", None),
            ("http://a/x", "http://[", None),
        ] {
            let Ok(location) = HeaderValue::from_bytes(location.as_bytes()) else {
                continue;
            };
            let to = redirected(&from.parse().unwrap(), &location);
            let to = to.ok().map(|uri| uri.to_string());
            assert_eq!(to.as_deref(), expected, "{from} {location:?}");
        }
    }
}
