//! A captured request: the raw bytes of an HTTP/1 request in a file (`.http`).

use anyhow::{Context, ensure};
use bytes::Bytes;
use pyrotee_net::Address;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The head and the body of a captured request.
#[derive(Debug, Clone)]
pub struct CapturedRequest {
    head: Bytes,
    pub body: Bytes,
}

impl CapturedRequest {
    /// Splits the bytes of a request.
    ///
    /// # Errors
    /// There is no request line of HTTP/1, or no empty line.
    pub fn parse(mut bytes: Bytes) -> anyhow::Result<Self> {
        let body = bytes.split_off(body_start(&bytes)?);
        Ok(Self { head: bytes, body })
    }

    /// The head with `address` as its `Host`, and with the path prefix of `address` if there is one. All other
    /// bytes stay, because captures are kept for the order, case and spelling of their headers.
    pub fn head_for(&self, address: &Address) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.head.len() + 64);
        for (number, line) in self.head.split_inclusive(|&byte| byte == b'\n').enumerate() {
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

    /// The whole request, for the server at `address`.
    pub(super) fn bytes_for(&self, address: &Address) -> Vec<u8> {
        let mut bytes = self.head_for(address);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Finds where the body of a captured request begins.
fn body_start(capture: &[u8]) -> anyhow::Result<usize> {
    let head = capture
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
        .context(
            "the captured request has no empty line after its head (each line must end with CR LF)",
        )?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] =
        b"POST /ingest?name=a HTTP/1.1\r\nX-Host: 1\r\nhOST: old\r\nB: \xff\r\nhost\r\n\r\n";

    fn readdressed(address: &str) -> Vec<u8> {
        let request = CapturedRequest::parse(Bytes::from_static(HEAD)).unwrap();
        request.head_for(&Address::parse(address).unwrap().address)
    }

    #[test]
    fn only_the_host_changes() {
        assert_eq!(
            readdressed("http://new:1"),
            b"POST /ingest?name=a HTTP/1.1\r\nX-Host: 1\r\nhOST: new:1\r\nB: \xff\r\nhost\r\n\r\n"
        );
    }

    #[test]
    fn a_prefix_of_the_destination_goes_before_the_path() {
        assert!(
            readdressed("http://new/base/").starts_with(b"POST /base/ingest?name=a HTTP/1.1\r\n")
        );
    }

    #[test]
    fn the_body_begins_behind_the_first_empty_line() {
        assert_eq!(body_start(HEAD).unwrap(), HEAD.len());
        assert!(body_start(b"POST / HTTP/1.1\r\nHost: a\r\n").is_err());
        assert!(body_start(b"no request\r\n\r\n").is_err());
        assert!(body_start(b"").is_err());
    }
}
