//! Where to send to.

use std::fmt;

use anyhow::{Context, bail, ensure};
use http::Uri;

const DEFAULT_PORT: u16 = 80;

/// The base address of a Pyroscope, `http` and without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
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
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => bail!(
                "--to is https, only http is spoken here: send through a pyrotee that has this target"
            ),
            _ => bail!("--to has no http:// before it: use http://HOST:PORT"),
        }
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
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(DEFAULT_PORT),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_prefix_are_told_apart() {
        for (text, host, port, authority, prefix) in [
            ("http://h", "h", 80, "h", ""),
            ("http://h:4040/", "h", 4040, "h:4040", ""),
            ("http://[::1]:4040/a/b/", "::1", 4040, "[::1]:4040", "/a/b"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(
                (address.authority.as_str(), address.prefix.as_str()),
                (authority, prefix)
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused_with_a_remedy() {
        for (text, part) in [
            ("h:4040", "http://HOST:PORT"),
            ("/ingest", "http://HOST:PORT"),
            ("https://h", "only http"),
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
