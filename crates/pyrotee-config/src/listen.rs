//! Addresses on which pyrotee listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pyrotee_net::{Address, Listen};

/// Reads `:PORT` (all interfaces), `IP:PORT`, `[IPv6]:PORT` or `localhost:PORT` (127.0.0.1).
///
/// # Errors
/// The text continues a sentence that begins with the value, and says what to write.
pub fn parse(text: &str) -> Result<Listen, String> {
    let remedy = "write :PORT for all interfaces, or IP:PORT";
    if let Ok(address) = text.parse() {
        return Ok(Listen::One(address));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("has no `:`; {remedy}"));
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let Some(port) = port.parse().ok().filter(|_| digits) else {
        return Err(format!("does not end in a port from 0 to 65535; {remedy}"));
    };
    match host {
        "" => Ok(Listen::All(port)),
        "localhost" => Ok(Listen::One(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
        _ => Err(format!("is not an address of this machine; {remedy}")),
    }
}

/// Whether an address certainly leads back to this listener. Host names other than `localhost` are not
/// resolved here, so an address with such a name may lead back undetected.
pub(crate) fn is_reached_by(listen: &Listen, address: &Address) -> bool {
    let localhost = address
        .host()
        .trim_end_matches('.')
        .eq_ignore_ascii_case("localhost");
    let ip = address.ip().map(|ip| ip.to_canonical());
    match listen {
        Listen::All(port) => {
            let here = ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
            *port == address.port() && *port != 0 && (here || localhost)
        }
        Listen::One(own) => {
            let reached = match ip {
                Some(ip) if ip == own.ip() => true,
                // A connection to 0.0.0.0 goes to this machine's loopback.
                Some(ip) if ip.is_unspecified() => is_here(own.ip()),
                Some(ip) => own.ip().is_unspecified() && ip.is_loopback(),
                None => localhost && is_here(own.ip()),
            };
            own.port() == address.port() && own.port() != 0 && reached
        }
    }
}

/// Whether two listeners cannot be bound at the same time.
pub(crate) fn clash(own: &Listen, other: &Listen) -> bool {
    let (port, other_port) = (port_of(own), port_of(other));
    let any = |listen: &Listen| match listen {
        Listen::All(_) => true,
        Listen::One(address) => address.ip().is_unspecified(),
    };
    port == other_port && port != 0 && (own == other || any(own) || any(other))
}

fn port_of(listen: &Listen) -> u16 {
    match listen {
        Listen::All(port) => *port,
        Listen::One(address) => address.port(),
    }
}

fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        parse(text).unwrap()
    }

    #[test]
    fn all_interfaces_one_address_and_localhost_are_told_apart() {
        assert_eq!(listen(":4040"), Listen::All(4040));
        assert_eq!(
            listen("127.0.0.1:0"),
            Listen::One("127.0.0.1:0".parse().unwrap())
        );
        assert_eq!(
            listen("[::1]:4040"),
            Listen::One("[::1]:4040".parse().unwrap())
        );
        assert_eq!(listen("localhost:4040").to_string(), "127.0.0.1:4040");
        assert_eq!(listen(":4040").to_string(), ":4040");
    }

    #[test]
    fn anything_else_is_a_fault() {
        for text in [
            "",
            "4040",
            "*:4040",
            "example.com:4040",
            ":",
            ":+1",
            ":65536",
            "::1:4040",
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains("write :PORT"), "{text}: {problem}");
        }
    }

    #[test]
    fn an_address_that_leads_back_is_seen() {
        for (own, address, back) in [
            (":4040", "http://localhost:4040", true),
            (":4040", "http://127.0.0.2:4040/x", true),
            (":4040", "http://[::1]:4040", true),
            (":4040", "http://[::ffff:127.0.0.1]:4040", true),
            (":4040", "http://0.0.0.0:4040", true),
            (":80", "http://localhost", true),
            (":4040", "http://localhost:4041", false),
            (":4040", "http://bar:4040", false),
            (":0", "http://localhost:80", false),
            ("10.0.0.7:4040", "http://10.0.0.7:4040", true),
            ("10.0.0.7:4040", "http://localhost:4040", false),
            ("127.0.0.1:4040", "http://localhost.:4040", true),
            ("0.0.0.0:4040", "http://127.0.0.1:4040", true),
        ] {
            let address = Address::parse(address).unwrap().address;
            assert_eq!(
                is_reached_by(&listen(own), &address),
                back,
                "{own} {address}"
            );
        }
    }

    #[test]
    fn listeners_in_each_others_way_are_seen() {
        assert!(clash(&listen(":4040"), &listen("127.0.0.1:4040")));
        assert!(clash(&listen("[::1]:1"), &listen("[::1]:1")));
        assert!(!clash(&listen("127.0.0.1:1"), &listen("[::1]:1")));
        assert!(!clash(&listen(":0"), &listen(":0")));
    }
}
