//! A captured request that is sent again.

use anyhow::{Context, ensure};
use pyrotee_net::Address;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Finds where the body of a captured request begins.
pub(super) fn body_start(capture: &[u8]) -> anyhow::Result<usize> {
    let head = capture
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
        .context("the captured request has no end of its head: an empty line, CR LF at each end")?;
    let first = capture
        .split(|&byte| byte == b'\r')
        .next()
        .unwrap_or_default();
    ensure!(
        first.windows(7).any(|window| window == b" HTTP/1"),
        "the captured request does not begin with a request line of HTTP/1"
    );
    Ok(head + END_OF_HEAD.len())
}

/// Copies a head and puts in another host, and a path prefix if the destination has one. All other
/// bytes stay: order, case and spelling of headers are what captures are kept for.
pub(super) fn readdress(head: &[u8], address: &Address) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 64);
    for (number, line) in head.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let (before, after) = if number == 0 {
            line.iter()
                .position(|&byte| byte == b' ')
                .and_then(|space| line.split_at_checked(space + 1))
                .filter(|(_, target)| target.starts_with(b"/"))
                .unwrap_or((line, &[]))
        } else {
            line.split_at_checked(b"host:".len()).unwrap_or((line, &[]))
        };
        out.extend_from_slice(before);
        if number == 0 && !after.is_empty() {
            out.extend_from_slice(address.prefix().as_bytes());
        }
        if number > 0 && before.eq_ignore_ascii_case(b"host:") {
            out.extend_from_slice(format!(" {}\r\n", address.authority()).as_bytes());
        } else {
            out.extend_from_slice(after);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"POST /ingest?name=a HTTP/1.1\r\nX-Host: 1\r\nhOST: old\r\nB: \xff\r\nhost\r\n\r\n";

    #[test]
    fn only_the_host_changes() {
        let address = Address::parse("http://new:1").unwrap().address;
        assert_eq!(
            readdress(HEAD, &address),
            b"POST /ingest?name=a HTTP/1.1\r\nX-Host: 1\r\nhOST: new:1\r\nB: \xff\r\nhost\r\n\r\n"
        );
    }

    #[test]
    fn a_prefix_of_the_destination_goes_before_the_path() {
        let address = Address::parse("http://new/base/").unwrap().address;
        assert!(readdress(HEAD, &address).starts_with(b"POST /base/ingest?name=a HTTP/1.1\r\n"));
    }

    #[test]
    fn the_body_begins_behind_the_first_empty_line() {
        assert_eq!(body_start(HEAD).unwrap(), HEAD.len());
        assert!(body_start(b"POST / HTTP/1.1\r\nHost: a\r\n").is_err());
        assert!(body_start(b"no request\r\n\r\n").is_err());
        assert!(body_start(b"").is_err());
    }
}
