//! Raw HTTP/1 messages: every byte on the wire, with just enough parsing to find the end of a message. No HTTP library
//! is used, because a library that tidies a message up would hide what the relay did.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// The longest head that is read before a test gives up; larger than every limit of the relay.
const MAX_HEAD: usize = 1 << 20;

/// A start line and its fields as they were sent, with the empty line at the end.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    raw: Vec<u8>,
}

impl Head {
    pub(crate) fn new(raw: &[u8]) -> Self {
        Self { raw: raw.to_vec() }
    }

    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The head as text; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    pub(crate) fn start_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn method(&self) -> String {
        self.word(0)
    }

    /// The request target, raw.
    pub(crate) fn target(&self) -> String {
        self.word(1)
    }

    /// The target up to its first `?`.
    pub(crate) fn path(&self) -> String {
        self.target()
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// What follows the first `?` of the target, raw; empty when there is none.
    pub(crate) fn query(&self) -> String {
        self.target()
            .split_once('?')
            .map_or_else(String::new, |(_, query)| query.to_owned())
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.word(1)
            .parse()
            .unwrap_or_else(|_| panic!("no status: {:?}", self.start_line()))
    }

    /// Names and values, in the order and case in which they were sent.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        self.text()
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// Every value of a field. The case of `name` does not matter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.fields().into_iter();
        fields
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The only value of a field. Panics if the field is repeated.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "{name} is repeated:\n{}", self.text());
        values.pop()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    fn word(&self, nth: usize) -> String {
        self.start_line()
            .split(' ')
            .nth(nth)
            .unwrap_or_default()
            .to_owned()
    }

    fn is_chunked(&self) -> bool {
        self.all("transfer-encoding")
            .iter()
            .any(|v| v.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")
            .map(|v| v.parse().unwrap_or_else(|_| panic!("length {v:?}")))
    }

    /// How the body of a request is delimited. Panics if a head has both framings, which would allow smuggling.
    pub(crate) fn request_framing(&self) -> Framing {
        match (self.is_chunked(), self.length()) {
            (true, Some(_)) => panic!("two framings in one head:\n{}", self.text()),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Length(0),
        }
    }

    /// How the body of a response to `method` is delimited.
    pub(crate) fn answer_framing(&self, method: &str) -> Framing {
        let bodyless = method == "HEAD" || matches!(self.status(), 100..200 | 204 | 304);
        match (bodyless, self.is_chunked(), self.length()) {
            (true, ..) => Framing::Length(0),
            (_, true, Some(_)) => panic!("two framings in one head:\n{}", self.text()),
            (_, true, None) => Framing::Chunked,
            (_, _, Some(length)) => Framing::Length(length),
            (_, _, None) => Framing::UntilClose,
        }
    }
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body as far as it has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// The content, without framing.
    pub(crate) data: Vec<u8>,
    /// The bytes on the wire, chunk sizes and trailers included.
    pub(crate) raw: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the end of the body was seen.
    pub(crate) complete: bool,
}

/// A connection that is read message by message.
#[derive(Debug)]
pub(crate) struct Wire {
    reader: BufReader<Paced>,
}

impl Wire {
    /// Takes over a connection. No read lasts longer than `limit`.
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> Self {
        stream
            .set_read_timeout(Some(limit))
            .expect("a connected socket takes a timeout");
        stream
            .set_write_timeout(Some(limit))
            .expect("a connected socket takes a timeout");
        stream
            .set_nodelay(true)
            .expect("a connected socket takes TCP_NODELAY");
        Self {
            reader: BufReader::with_capacity(64 * 1024, Paced { stream, pace: None }),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.reader.get_ref().stream
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream().peer_addr().expect("the socket was connected")
    }

    /// Makes later reads return at most `bytes` at once, each after a pause.
    pub(crate) fn pace(&mut self, bytes: usize, pause: Duration) {
        self.reader.get_mut().pace = Some((bytes, pause));
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream();
        stream.write_all(bytes)
    }

    /// Closes the sending direction only.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.stream().shutdown(Shutdown::Write)
    }

    /// Reads a head; `None` when the peer closed between two messages.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        let mut raw = Vec::new();
        while !raw.ends_with(b"\r\n\r\n") {
            let before = raw.len();
            self.reader
                .by_ref()
                .take(MAX_HEAD as u64)
                .read_until(b'\n', &mut raw)?;
            if raw.is_empty() {
                return Ok(None);
            }
            if raw.len() == before || raw.len() > MAX_HEAD {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(Head { raw }))
    }

    /// Reads a body to its end, or as far as it arrives: after an early end `complete` is false.
    pub(crate) fn body(&mut self, framing: Framing) -> Body {
        let mut body = Body::default();
        let outcome = match framing {
            Framing::Length(length) => self.sized(length, &mut body),
            Framing::UntilClose => self.reader.read_to_end(&mut body.raw).map(|_| {
                body.data.clone_from(&body.raw);
            }),
            Framing::Chunked => self.chunked(&mut body),
        };
        body.complete = outcome.is_ok();
        body
    }

    /// Reads the next bytes, at most `limit`; empty at the end of the stream.
    pub(crate) fn some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let available = self.reader.fill_buf()?;
        let bytes = available[..available.len().min(limit)].to_vec();
        self.reader.consume(bytes.len());
        Ok(bytes)
    }

    /// Whether the peer closes the connection without sending another byte; waits at most as long as a read may take.
    pub(crate) fn closed(&mut self) -> bool {
        match self.some(1) {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn sized(&mut self, length: u64, body: &mut Body) -> io::Result<()> {
        let from = body.raw.len();
        let read = self.reader.by_ref().take(length).read_to_end(&mut body.raw);
        body.data.extend_from_slice(&body.raw[from..]);
        if read? as u64 == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn chunked(&mut self, body: &mut Body) -> io::Result<()> {
        loop {
            let line = self.line(body)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            self.sized(size, body)?;
            self.line(body)?;
        }
        loop {
            let line = self.line(body)?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(());
            };
            body.trailers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self, body: &mut Body) -> io::Result<String> {
        let from = body.raw.len();
        self.reader.read_until(b'\n', &mut body.raw)?;
        let line = &body.raw[from..];
        if !line.ends_with(b"\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
    }
}

/// A stream that can be made to read slowly.
#[derive(Debug)]
struct Paced {
    stream: TcpStream,
    pace: Option<(usize, Duration)>,
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((bytes, pause)) = self.pace else {
            return self.stream.read(buffer);
        };
        thread::sleep(pause);
        let most = bytes.min(buffer.len());
        self.stream.read(&mut buffer[..most])
    }
}
