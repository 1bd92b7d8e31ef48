//! The address of a target or of the upstream: where to connect, and the path prefix.
//!
//! An [`Address`] never holds a secret. The parser returns a `user:pass@` apart from it, so an address may be
//! logged and used as a metric label. For the same reason no [`AddressError`] repeats any part of the text:
//! the faulty part may be a password. This module resolves no name and opens no socket.

mod host;

use std::{fmt, net::IpAddr, str::FromStr};

use http::Uri;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use host::HostPort;

/// Where requests go: scheme, host, port and an optional path prefix.
///
/// `Display` gives the text as it was written, without userinfo; it is the value of the
/// `target_address` label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    written: String,
    scheme: Scheme,
    host: String,
    ip: Option<IpAddr>,
    port: u16,
    authority: Authority,
    prefix: String,
}

/// The result of [`Address::parse`]: the address, and apart from it the credentials in the text.
#[derive(Clone, Debug)]
pub struct ParsedAddress {
    /// The address without its credentials.
    pub address: Address,
    /// The `user:pass@` part, if there was one.
    pub userinfo: Option<UserInfo>,
}

/// Credentials from an address, percent-decoded. `Debug` shows neither part.
#[derive(Clone, Debug)]
pub struct UserInfo {
    /// The part before the first `:`; some services take a token here.
    pub user: SecretString,
    /// The part after the first `:`; `None` if there is no `:`.
    pub password: Option<SecretString>,
}

/// Why a text is not an address. Each message ends with what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    #[error("is empty; write http://HOST:PORT")]
    Empty,
    #[error("contains white space or a control character; remove it")]
    WhiteSpace,
    #[error("has no scheme; write http://… or https://…")]
    NoScheme,
    #[error("has a scheme that is not supported; write http://… or https://…")]
    Scheme,
    #[error("has a query; remove everything from the `?` on")]
    Query,
    #[error("has a fragment; remove everything from the `#` on")]
    Fragment,
    #[error("has an `@` after the first `/`; write `/` in a user or password as %2F")]
    LateAt,
    #[error("has a user or password with a bad percent-escape; write `%` as %25")]
    Escape,
    #[error("has no host; write http://HOST:PORT")]
    NoHost,
    #[error("has a host that is not a name or an IP address; write http://HOST:PORT")]
    Host,
    #[error("has a host with letters beyond ASCII; write the name in its xn-- form")]
    NotAscii,
    #[error("has an IPv6 address without brackets; write http://[::1]:PORT")]
    Brackets,
    #[error("has something in brackets that is not an IPv6 address; write http://[::1]:PORT")]
    V6,
    #[error("has a port that is not a number from 1 to 65535; write http://HOST:PORT")]
    Port,
    #[error("has a path with a character that URLs do not allow; percent-encode it")]
    Path,
}

impl Address {
    /// Parses `http://` or `https://`, an optional `user:pass@`, a host (name, IPv4, `[IPv6]`), an
    /// optional port and an optional path prefix.
    ///
    /// # Errors
    ///
    /// If the text has another form. The error says what is wrong without repeating the text.
    pub fn parse(text: &str) -> Result<ParsedAddress, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::WhiteSpace);
        }
        let (scheme_text, rest) = text.split_once("://").ok_or(AddressError::NoScheme)?;
        let scheme = scheme(scheme_text)?;
        // A fragment is cut off first because it may hold a `?`; see RFC 3986 §3.
        if rest.contains('#') {
            return Err(AddressError::Fragment);
        }
        if rest.contains('?') {
            return Err(AddressError::Query);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if path.contains('@') {
            return Err(AddressError::LateAt);
        }
        let (userinfo, host_port) = match authority.rsplit_once('@') {
            Some((info, host_port)) => (Some(userinfo(info)?), host_port),
            None => (None, authority),
        };
        let HostPort { host, ip, port } = host::parse(host_port)?;
        let is_https = scheme == Scheme::HTTPS;
        let address = Address {
            written: format!("{scheme_text}://{host_port}{path}"),
            scheme,
            host,
            ip,
            port: port.unwrap_or(default_port(is_https)),
            authority: Authority::from_str(host_port).map_err(|_| AddressError::Host)?,
            prefix: prefix(path)?,
        };
        Ok(ParsedAddress { address, userinfo })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The name or IP address to connect to, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as an IP address; `None` if it is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// The port to connect to: the port in the text, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as written, for a `Host` header: without userinfo, without an added default port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Scheme and authority with the path `/`: the argument of [`crate::Connector::open`].
    #[must_use]
    pub fn origin(&self) -> Uri {
        self.with_path(PathAndQuery::from_static("/"))
    }

    /// The URI of `path` on this host. The prefix is not added.
    #[must_use]
    pub fn with_path(&self, path: PathAndQuery) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).expect("scheme, authority and path are all there")
    }

    /// Path prefix, which goes before a surface's path: empty, or `/prefix` without a slash at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn scheme(text: &str) -> Result<Scheme, AddressError> {
    if text.eq_ignore_ascii_case("http") {
        Ok(Scheme::HTTP)
    } else if text.eq_ignore_ascii_case("https") {
        Ok(Scheme::HTTPS)
    } else {
        Err(AddressError::Scheme)
    }
}

/// The port of `uri`, or that of its scheme.
pub fn port_of(uri: &Uri) -> u16 {
    let is_https = uri.scheme() == Some(&Scheme::HTTPS);
    uri.port_u16().unwrap_or(default_port(is_https))
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

fn userinfo(text: &str) -> Result<UserInfo, AddressError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (text, None),
    };
    Ok(UserInfo {
        user: decode(user)?,
        password,
    })
}

fn decode(text: &str) -> Result<SecretString, AddressError> {
    // The decoder leaves a bad escape as it is. The password would then differ from the intended one, and the
    // server would answer 401 for no visible reason.
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escape = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
        if byte == b'%' && !(escape(bytes.next()) && escape(bytes.next())) {
            return Err(AddressError::Escape);
        }
    }
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| AddressError::Escape)?;
    Ok(SecretString::from(decoded.into_owned()))
}

fn prefix(path: &str) -> Result<String, AddressError> {
    let prefix = path.trim_end_matches('/');
    // The parser of the `http` crate accepts quotes, braces and bytes beyond ASCII, which servers need not
    // accept.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%/".contains(&b);
    if !prefix.bytes().all(allowed) || PathAndQuery::from_str(path).is_err() && !path.is_empty() {
        return Err(AddressError::Path);
    }
    Ok(prefix.to_owned())
}

#[cfg(test)]
mod tests;
