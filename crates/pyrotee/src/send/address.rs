//! Where to send to.

use std::fmt;

use anyhow::{Context, ensure};
use http::Uri;

/// The base address of a Pyroscope, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme and authority: what is connected to.
    pub(super) origin: Uri,
    /// Host and port as written: the `Host` header.
    pub(super) authority: String,
    /// What goes before `/ingest`; empty or with a leading slash, never with a trailing one.
    pub(super) prefix: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let uri: Uri = text
            .parse()
            .context("--to is no address: use http://HOST:PORT")?;
        let scheme = uri.scheme_str().unwrap_or_default();
        ensure!(
            matches!(scheme, "http" | "https"),
            "--to has no http:// or https:// before it: use http://HOST:PORT"
        );
        let authority = uri
            .authority()
            .context("--to has no host: use http://HOST:PORT")?;
        // Not repeated in the text: it may be a password.
        ensure!(
            !authority.as_str().contains('@'),
            "--to has credentials, which are not sent: leave them out"
        );
        ensure!(
            !authority.host().is_empty(),
            "--to has no host: use http://HOST:PORT"
        );
        ensure!(
            uri.query().is_none(),
            "--to has a query: leave it out, --name sets the name"
        );
        let origin = format!("{scheme}://{authority}/");
        Ok(Self {
            origin: origin
                .parse()
                .context("--to is no address: use http://HOST:PORT")?,
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin.to_string().trim_end_matches('/'))?;
        f.write_str(&self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_and_prefix_are_told_apart() {
        for (text, origin, authority, prefix) in [
            ("http://h", "http://h/", "h", ""),
            ("http://h:4040/", "http://h:4040/", "h:4040", ""),
            (
                "https://[::1]:4040/a/b/",
                "https://[::1]:4040/",
                "[::1]:4040",
                "/a/b",
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.origin, origin);
            assert_eq!(
                (address.authority.as_str(), address.prefix.as_str()),
                (authority, prefix)
            );
            assert_eq!(address.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused_with_a_remedy() {
        for (text, part) in [
            ("h:4040", "http://HOST:PORT"),
            ("/ingest", "http://HOST:PORT"),
            ("ftp://h", "http://HOST:PORT"),
            ("http://user:secret@h", "leave them out"),
            ("http://h/?a=b", "leave it out"),
            ("", "http://HOST:PORT"),
        ] {
            let error = format!("{:#}", Address::parse(text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
