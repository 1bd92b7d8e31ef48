//! A client that writes single HTTP/2 frames (RFC 9113 §4, §6) and enforces no rule of the protocol.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

/// Frame types.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Frame flags.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// The largest flow-control window, in bytes.
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// An HTTP/2 connection. The first failed write ends the connection.
pub(crate) struct Frames {
    socket: TcpStream,
    next_stream: u32,
    open: bool,
}

impl Frames {
    /// Connects, sends the preface and `settings`. A small `receive_buffer` in bytes makes a reader slow.
    pub(crate) fn connect(
        address: SocketAddr,
        settings: &[(u16, u32)],
        receive_buffer: Option<usize>,
    ) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        if let Some(bytes) = receive_buffer {
            SockRef::from(&socket).set_recv_buffer_size(bytes).unwrap();
        }
        socket
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut frames = Self {
            socket,
            next_stream: 1,
            open: true,
        };
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        frames.frame(SETTINGS, 0, 0, &payload);
        frames
    }

    /// Whether the connection is still open.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Starts a stream with this block of headers and returns its number.
    pub(crate) fn headers(&mut self, block: &[u8], ends: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let end = if ends { END_STREAM } else { 0 };
        self.frame(HEADERS, END_HEADERS | end, stream, block);
        stream
    }

    /// Starts a stream whose headers do not end.
    pub(crate) fn endless_headers(&mut self, block: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.frame(HEADERS, 0, stream, block);
        stream
    }

    pub(crate) fn continuation(&mut self, stream: u32, block: &[u8]) {
        self.frame(CONTINUATION, 0, stream, block);
    }

    pub(crate) fn data(&mut self, stream: u32, data: &[u8]) {
        self.frame(DATA, 0, stream, data);
    }

    pub(crate) fn reset(&mut self, stream: u32) {
        // CANCEL
        self.frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
    }

    pub(crate) fn settings(&mut self) {
        self.frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    }

    pub(crate) fn ping(&mut self) {
        self.frame(PING, 0, 0, &[7; 8]);
    }

    /// Opens the connection's window by `bytes`.
    pub(crate) fn window(&mut self, bytes: u32) {
        self.frame(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes());
    }

    /// Reads and discards the bytes that have arrived; waits for `patience` at most.
    pub(crate) fn drain(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 16 * 1024];
        while self.open {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.write(&frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.open = self.open && self.socket.write_all(bytes).is_ok();
    }
}

/// The block of a request's headers (RFC 7541, without Huffman codes and without a dynamic table).
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    // `:method` of the static table, `:scheme: http`, `:path` and `:authority` as literals.
    let mut block = vec![if method == "GET" { 0x82 } else { 0x83 }, 0x86, 0x04];
    literal(&mut block, path.as_bytes());
    block.push(0x01);
    literal(&mut block, b"relay");
    block
}

/// A header that is put into the dynamic table, where `0xbe` refers to it.
pub(crate) fn remembered(name: &str, value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    literal(&mut block, name.as_bytes());
    literal(&mut block, value);
    block
}

fn literal(block: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(u8::try_from(length % 128).unwrap() | 128);
            length /= 128;
        }
        block.push(u8::try_from(length).unwrap());
    }
    block.extend(bytes);
}
