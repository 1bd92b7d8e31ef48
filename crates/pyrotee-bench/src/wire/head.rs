//! Heads of messages, as far as they matter to the bench.

use std::{io, str};

use httparse::{EMPTY_HEADER, Header, Request, Response, Status};

/// Most fields of a head.
const FIELDS: usize = 64;

/// How the length of a body is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Exactly(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
    /// The request is a probe and not a profile, and is not counted.
    pub(crate) probe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// The server closes the connection after this response.
    pub(crate) closes: bool,
}

impl RequestHead {
    /// Reads a head and its length; `None` if more has to come.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut request = Request::new(&mut fields);
        let Status::Complete(length) = request.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let head = Self {
            framing: framing(request.headers)?,
            expects: find(request.headers, "expect").is_some(),
            probe: request.method != Some("POST"),
        };
        Ok(Some((head, length)))
    }
}

impl ResponseHead {
    /// Reads a head and its length; `None` if more has to come.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut response = Response::new(&mut fields);
        let Status::Complete(length) = response.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let connection = find(response.headers, "connection").unwrap_or_default();
        let head = Self {
            status: response.code.unwrap_or(0),
            framing: framing(response.headers)?,
            closes: connection.eq_ignore_ascii_case(b"close"),
        };
        Ok(Some((head, length)))
    }
}

fn framing(fields: &[Header<'_>]) -> io::Result<Framing> {
    if find(fields, "transfer-encoding").is_some() {
        return Ok(Framing::Chunked);
    }
    let Some(length) = find(fields, "content-length") else {
        return Ok(Framing::Exactly(0));
    };
    let length = str::from_utf8(length)
        .ok()
        .and_then(|l| l.trim().parse().ok());
    let length = length.ok_or_else(|| io::Error::other("Content-Length is no number"))?;
    Ok(Framing::Exactly(length))
}

fn find<'a>(fields: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut named = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    named.next().map(|field| field.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let bytes =
            b"POST /ingest HTTP/1.1\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nbody";
        assert_eq!(RequestHead::parse(&bytes[..30]).unwrap(), None);
        let (head, length) = RequestHead::parse(bytes).unwrap().unwrap();
        assert_eq!(&bytes[length..], b"body");
        assert_eq!(head.framing, Framing::Exactly(12));
        assert!(head.expects && !head.probe);
    }

    #[test]
    fn a_transfer_coding_goes_before_a_length() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let (head, _) = ResponseHead::parse(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.framing), (200, Framing::Chunked));
        assert!(head.closes);
    }

    #[test]
    fn a_length_that_is_no_number_is_an_error() {
        assert!(RequestHead::parse(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
