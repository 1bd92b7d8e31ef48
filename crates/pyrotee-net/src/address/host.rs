//! Parses the host and the port of an address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::AddressError;

/// A DNS name is at most this long in text form (RFC 1035 §2.3.4), a label at most [`MAX_LABEL`].
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The host and the port of an address.
pub(super) struct HostPort {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    /// `None` if the host is a name.
    pub(super) ip: Option<IpAddr>,
    /// `None` if the address has no port.
    pub(super) port: Option<u16>,
}

/// Parses `HOST` or `HOST:PORT`.
pub(super) fn parse(text: &str) -> Result<HostPort, AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(AddressError::V6)?;
        let ip = Ipv6Addr::from_str(host).map_err(|_| AddressError::V6)?;
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if after.is_empty() => None,
            None => return Err(AddressError::Port),
        };
        return Ok(HostPort {
            host: host.to_owned(),
            ip: Some(IpAddr::V6(ip)),
            port,
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => return Err(AddressError::Brackets),
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (text, None),
    };
    Ok(HostPort {
        host: host.to_owned(),
        ip: name_or_v4(host)?,
        port,
    })
}

fn port(digits: &str) -> Result<u16, AddressError> {
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| number && *port != 0);
    port.ok_or(AddressError::Port)
}

/// Parses a name (`None`) or an IPv4 address. A name may end in a dot, which skips the search list, and may
/// hold `_`, as names of Docker do.
fn name_or_v4(host: &str) -> Result<Option<IpAddr>, AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    if !host.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    if let Ok(ip) = Ipv4Addr::from_str(host) {
        return Ok(Some(IpAddr::V4(ip)));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // No top-level domain is a number: `10.0.0` or `256.1.1.1` is a malformed IPv4 address.
    let number = name
        .rsplit('.')
        .next()
        .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > MAX_NAME || number || !name.split('.').all(label) {
        return Err(AddressError::Host);
    }
    Ok(None)
}
