//! A client that sends exactly the bytes that a test gives it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::{self, AddressFamily, SocketType};

use super::wire::{Body, Head, Wire};

/// Longest wait for a response, unless a test asks for another limit.
const LIMIT: Duration = Duration::from_secs(20);

/// A response as it was read from the wire.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let data = &self.body.data;
        serde_json::from_slice(data).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// One connection to the relay.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::patient(address, LIMIT)
    }

    /// A client whose reads and writes may take up to `limit`.
    pub(crate) fn patient(address: SocketAddr, limit: Duration) -> Self {
        let stream = TcpStream::connect_timeout(&address, LIMIT).expect("the relay accepts");
        Self {
            wire: Wire::new(stream, limit),
        }
    }

    /// A client with the address `source`.
    pub(crate) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)
            .expect("a socket can be made");
        net::bind(&socket, &SocketAddr::from((source, 0))).expect("a loopback address is free");
        net::connect(&socket, &address).expect("the relay accepts");
        Self {
            wire: Wire::new(socket.into(), LIMIT),
        }
    }

    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends bytes as they are. A failed write is ignored, since the relay may have responded and closed: the response
    /// decides.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        drop(self.wire.send(bytes));
        self
    }

    /// Reads the answer to a request other than `HEAD`.
    pub(crate) fn receive(&mut self) -> Response {
        self.receive_for("POST")
    }

    /// Reads the answer to a request with `method`.
    pub(crate) fn receive_for(&mut self, method: &str) -> Response {
        self.try_receive(method)
            .expect("an answer, not an end of the connection")
    }

    /// Reads an answer if one comes before the connection ends.
    pub(crate) fn try_receive(&mut self, method: &str) -> Option<Response> {
        let head = self.wire.head().ok().flatten()?;
        let body = self.wire.body(head.answer_framing(method));
        Some(Response { head, body })
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> Response {
        self.send(&request.bytes()).receive_for(&request.method)
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn send(address: SocketAddr, request: &Request) -> Response {
    Client::connect(address).exchange(request)
}

/// Sends one request given in bytes on a connection of its own.
pub(crate) fn send_raw(address: SocketAddr, bytes: &[u8]) -> Response {
    Client::connect(address).send(bytes).receive()
}

/// A request under construction. `Host` and the framing are added unless they are given.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Content,
}

#[derive(Clone, Debug)]
enum Content {
    None,
    Sized(Vec<u8>),
    Chunked(Vec<u8>),
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self {
            method,
            target,
            fields: Vec::new(),
            body: Content::None,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str, body: &[u8]) -> Self {
        Self {
            body: Content::Sized(body.to_vec()),
            ..Self::new("POST", target)
        }
    }

    /// A profile of `app`, for tests that need no particular profile.
    pub(crate) fn profile(app: &str, body: &[u8]) -> Self {
        Self::post(
            &format!("/ingest?name={app}&from=1795397490&until=1795397500"),
            body,
        )
    }

    /// A chunked upload, a chunk for each piece, with trailers that are declared.
    pub(crate) fn chunked(target: &str, pieces: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let body = Content::Chunked(chunks(pieces, trailers));
        let request = Self {
            body,
            ..Self::new("POST", target)
        };
        trailers
            .iter()
            .fold(request, |request, (name, _)| request.field("Trailer", name))
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head alone, for a body that is sent in parts, late or never.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut raw = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            raw += "Host: relay.example\r\n";
        }
        for (name, value) in &self.fields {
            // hyper writes no space before an empty value; white space around a value has no meaning.
            let space = if value.is_empty() { "" } else { " " };
            raw += &format!("{name}:{space}{value}\r\n");
        }
        match &self.body {
            Content::None => {}
            Content::Sized(body) => raw += &format!("Content-Length: {}\r\n", body.len()),
            Content::Chunked(_) => raw += "Transfer-Encoding: chunked\r\n",
        }
        raw += "\r\n";
        raw.into_bytes()
    }

    /// Head and body as they are sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut raw = self.head();
        if let Content::Sized(body) | Content::Chunked(body) = &self.body {
            raw.extend_from_slice(body);
        }
        raw
    }
}

/// A chunked body: a chunk for each piece, the last one and the trailers.
pub(crate) fn chunks(pieces: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
    let mut raw = Vec::new();
    for piece in pieces {
        raw.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        raw.extend_from_slice(piece);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(b"\r\n");
    raw
}

/// `length` bytes without a pattern that any encoding would shorten.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64: repeatable, so a failing test fails again.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
