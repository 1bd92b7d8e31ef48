//! The address of a scrape target.

use std::net::Ipv6Addr;

use pyrotee_net::Address;

/// The server at `address`, which is `HOST`, `HOST:PORT` or an IPv6 address with or without brackets.
///
/// # Errors
/// What is wrong with the scheme or the address, and what to write instead.
pub(super) fn parse(scheme: &str, address: &str) -> Result<Address, String> {
    if !["http", "https"].contains(&scheme) {
        return Err(format!("__scheme__ is {scheme:?}: it can be http or https"));
    }
    if address.is_empty() {
        return Err("the address is empty: write HOST:PORT".to_owned());
    }
    let shown = without_user(address);
    let refused = |problem: &str| Err(format!("the address {shown:?} {problem}"));
    if address.contains("://") {
        return refused("has a scheme: write HOST:PORT, and the scheme into the key `scheme`");
    }
    if address.contains(['/', '?', '#']) {
        return refused("has a path: write HOST:PORT, and the path into the profile's `path`");
    }
    if address.contains('@') {
        return refused("has a user: write HOST:PORT, and the user into the key `basic-auth`");
    }
    let text = match address.parse::<Ipv6Addr>() {
        Ok(_) => format!("{scheme}://[{address}]"),
        Err(_) => format!("{scheme}://{address}"),
    };
    match Address::parse(&text) {
        Ok(parsed) => Ok(parsed.address),
        Err(error) => refused(&error.to_string()),
    }
}

/// Host and port of `address`; the port is always written.
pub(super) fn with_port(address: &Address) -> String {
    let (authority, port) = (address.authority(), address.port());
    match authority.port() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:{port}"),
    }
}

/// `address` without a user and a password, for texts that are shown.
pub(crate) fn without_user(address: &str) -> &str {
    address
        .rsplit_once('@')
        .map_or(address, |(_user, rest)| rest)
}
