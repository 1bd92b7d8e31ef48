//! Addresses that a discovery may not name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use pyrotee_net::{AddressRefusal, Connector};

/// Metadata services of clouds that are not link-local: whoever reads them has the credentials of the machine.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

const REMEDY: &str = "write the address into static-configs if it is meant";

/// The connector for addresses that were discovered: it refuses loopback, link-local and own addresses.
pub(crate) fn guarded(connector: &Connector, own: &Arc<[SocketAddr]>) -> Connector {
    let own = Arc::clone(own);
    connector
        .clone()
        .refusing(move |address| refusal(address, &own))
}

/// Why a discovered address is refused; `None`: it is not.
pub(super) fn refusal(address: SocketAddr, own: &[SocketAddr]) -> Option<AddressRefusal> {
    let ip = canonical(address.ip());
    let is_own = || is_own(SocketAddr::new(ip, address.port()), own, is_local);
    let what = match what(ip) {
        None if is_own() => "a listener of this relay",
        what => what?,
    };
    Some(AddressRefusal {
        what,
        remedy: REMEDY,
    })
}

fn what(ip: IpAddr) -> Option<&'static str> {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    // Linux connects to the own machine for the whole of 0.0.0.0/8.
    let is_nowhere = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0);
    if ip.is_loopback() {
        Some("a loopback address")
    } else if ip.is_unspecified() || is_nowhere {
        Some("no address of one machine")
    } else if is_link_local {
        Some("a link-local address, such as those of metadata services")
    } else if METADATA.contains(&ip) {
        Some("the address of a metadata service")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:a.b.c.d`), compatible (`::a.b.c.d`) or translated by
/// NAT64 (`64:ff9b::a.b.c.d`).
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [first, second, third, fourth, fifth, sixth, ..] = v6.segments();
    let [.., a, b, c, d] = v6.octets();
    let embeds = match [first, second, third, fourth, fifth, sixth] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => true,
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0] => !v6.is_unspecified() && !v6.is_loopback(),
        _ => false,
    };
    if embeds {
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        ip
    }
}

/// Whether `address` leads to one of the listeners `own`. A listener on all interfaces has each address of this machine.
fn is_own(address: SocketAddr, own: &[SocketAddr], is_local: impl Fn(IpAddr) -> bool) -> bool {
    let mut own = own.iter().filter(|own| own.port() == address.port());
    own.any(|own| match canonical(own.ip()) {
        ip if ip.is_unspecified() => is_local(address.ip()),
        ip => ip == address.ip(),
    })
}

/// Whether an interface of this machine has the address: only then can a socket be bound to it.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_machine_itself_and_of_metadata_are_refused() {
        for (ip, part) in [
            ("127.0.0.1", "loopback"),
            ("127.9.9.9", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::7f00:1", "loopback"),
            ("0.0.0.0", "no address"),
            ("0.1.2.3", "no address"),
            ("::", "no address"),
            ("255.255.255.255", "no address"),
            ("169.254.169.254", "link-local"),
            ("::ffff:169.254.169.254", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fd00:ec2::254", "metadata"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 6060);
            let what = refusal(address, &[]).map(|it| it.what);
            assert!(what.is_some_and(|it| it.contains(part)), "{ip}: {what:?}");
        }
        for ip in [
            "10.0.0.7",
            "192.168.1.1",
            "8.8.8.8",
            "fd00::7",
            "2001:db8::1",
            "fec0::1",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 6060);
            assert_eq!(refusal(address, &[]), None, "{ip}");
        }
    }

    #[test]
    fn own_listeners_are_refused() {
        let own: Vec<SocketAddr> = ["[::]:4040", "10.0.0.5:4041"]
            .map(|it| it.parse().unwrap())
            .into();
        let machine: [IpAddr; 2] = ["10.0.0.5", "10.0.0.6"].map(|it| it.parse().unwrap());
        for (address, expected) in [
            ("10.0.0.5:4040", true),
            ("10.0.0.6:4040", true),
            ("10.0.0.7:4040", false),
            ("10.0.0.5:4041", true),
            ("10.0.0.6:4041", false),
            ("10.0.0.5:6060", false),
        ] {
            let is_own = is_own(address.parse().unwrap(), &own, |ip| machine.contains(&ip));
            assert_eq!(is_own, expected, "{address}");
        }
        let refused = refusal("10.0.0.5:4041".parse().unwrap(), &own);
        assert_eq!(refused.map(|it| it.what), Some("a listener of this relay"));
        assert!(is_local(Ipv4Addr::LOCALHOST.into()));
        // Reserved for documentation (RFC 5737).
        assert!(!is_local(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
}
