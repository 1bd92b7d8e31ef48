//! Response scripts: what a stand-in does with one request.

use std::time::Duration;

/// How much of a request is read before the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All of it, as servers usually do.
    Whole,
    /// The head; the body is read after the response.
    Early,
    /// The head only; the body is never read.
    Unread,
}

/// What happens to the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    KeepAlive,
    /// Closed at once. If bytes were left unread, the peer gets a reset.
    Close,
    /// The sending direction is closed, and the rest half a second later, as Go's `net/http` does after a response that
    /// came before the end of the body.
    Linger,
    Reset,
    /// FIN, then RST: a peer's kernel sends this if the peer closed the connection while the request was in flight.
    Refuse,
    /// The connection stays open, but nothing is read or sent any more.
    Hold,
    /// Every byte is sent back in upper case.
    Echo,
}

/// One step of a script: what is read, what is sent, and what happens to the connection.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) reading: Reading,
    pub(super) pace: Option<(usize, Duration)>,
    pub(super) delay: Duration,
    /// Pieces that are sent one after the other, each after a pause.
    pub(super) pieces: Vec<(Duration, Vec<u8>)>,
    pub(super) then: Then,
}

impl Answer {
    /// Pyroscope's response to a profile that it accepts: `200` and nothing else.
    pub(crate) fn ok() -> Self {
        Self::status(200, b"")
    }

    /// A response with a length and no other field.
    pub(crate) fn status(status: u16, body: &[u8]) -> Self {
        Self::with(status, &[], body)
    }

    /// A response with the given fields; the length comes last.
    pub(crate) fn with(status: u16, fields: &[(&str, &str)], body: &[u8]) -> Self {
        let mut raw = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in fields {
            raw += &format!("{name}: {value}\r\n");
        }
        raw += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut raw = raw.into_bytes();
        raw.extend_from_slice(body);
        Self::raw(&raw)
    }

    /// An error in the words of a present-day Pyroscope.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!("{{\"code\":\"{code}\",\"message\":\"{message}\"}}\n");
        Self::with(
            status,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )
    }

    /// A chunked response, a chunk for each piece, with declared trailers.
    pub(crate) fn chunked(pieces: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
        for (name, _) in trailers {
            raw.extend_from_slice(format!("Trailer: {name}\r\n").as_bytes());
        }
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(&super::super::client::chunks(pieces, trailers));
        Self::raw(&raw)
    }

    /// The given bytes as the response.
    pub(crate) fn raw(bytes: &[u8]) -> Self {
        Self {
            reading: Reading::Whole,
            pace: None,
            delay: Duration::ZERO,
            pieces: vec![(Duration::ZERO, bytes.to_vec())],
            then: Then::KeepAlive,
        }
    }

    /// Reads the request and never responds.
    pub(crate) fn never() -> Self {
        Self {
            then: Then::Hold,
            ..Self::raw(b"")
        }
    }

    /// Reads no byte of the body and never responds.
    pub(crate) fn deaf() -> Self {
        Self {
            reading: Reading::Unread,
            ..Self::never()
        }
    }

    /// Closes without a response, after the request was read.
    pub(crate) fn hang_up() -> Self {
        Self::raw(b"").close()
    }

    /// Accepts an upgrade to `protocol`, then echoes everything.
    pub(crate) fn upgrade(protocol: &str) -> Self {
        let raw = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        Self {
            then: Then::Echo,
            ..Self::raw(raw.as_bytes())
        }
    }

    /// Sends `piece` after a pause, behind the pieces so far.
    pub(crate) fn and_then(mut self, pause: Duration, piece: &[u8]) -> Self {
        self.pieces.push((pause, piece.to_vec()));
        self
    }

    /// Waits before the response.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Responds after the head, and reads the body afterwards.
    pub(crate) fn early(self) -> Self {
        Self {
            reading: Reading::Early,
            ..self
        }
    }

    /// Responds after the head, and never reads the body.
    pub(crate) fn unread(self) -> Self {
        Self {
            reading: Reading::Unread,
            ..self
        }
    }

    /// Reads the body `bytes` at a time, each piece after a pause.
    pub(crate) fn slowly(self, bytes: usize, pause: Duration) -> Self {
        Self {
            pace: Some((bytes, pause)),
            ..self
        }
    }

    pub(crate) fn close(self) -> Self {
        Self {
            then: Then::Close,
            ..self
        }
    }

    /// Closes as Go's server does: the sending direction first, everything half a second later.
    pub(crate) fn linger(self) -> Self {
        Self {
            then: Then::Linger,
            ..self
        }
    }

    /// Handles the request as if the connection had been closed before: FIN, then RST.
    pub(crate) fn refuse() -> Self {
        Self {
            then: Then::Refuse,
            ..Self::raw(b"")
        }
    }

    pub(crate) fn reset(self) -> Self {
        Self {
            then: Then::Reset,
            ..self
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
