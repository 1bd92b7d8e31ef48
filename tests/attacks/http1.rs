//! Attacks over HTTP/1.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::http2::wait;
use crate::pyroscopes::{HANGS, LARGE};
use crate::{Attack, under};

#[test]
fn large_heads() {
    under(&Attack {
        name: "HTTP/1: large heads",
        attackers: 1,
        requests: 2 * 50,
        open: 100,
        attacker: |address, end| {
            let head = format!(
                "GET {HANGS} HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
                "v".repeat(200_000)
            );
            let _open = connections(50, address, head.as_bytes(), None);
            wait(end);
        },
    });
}

#[test]
fn responses_that_are_not_read() {
    under(&Attack {
        name: "HTTP/1: unread",
        attackers: 1,
        requests: 200,
        open: 300,
        attacker: |address, end| {
            let request = format!("GET {LARGE} HTTP/1.1\r\nHost: h\r\n\r\n");
            let _open = connections(200, address, request.as_bytes(), Some(4096));
            wait(end);
        },
    });
}

#[test]
fn uploads_that_stand_still() {
    under(&Attack {
        name: "HTTP/1: stalled uploads",
        attackers: 1,
        requests: 400,
        open: 600,
        attacker: |address, end| {
            let _open = connections(400, address, &upload(65_000, 64_000), None);
            wait(end);
        },
    });
}

#[test]
fn large_uploads_that_do_not_end() {
    under(&Attack {
        name: "HTTP/1: unfinished uploads",
        attackers: 1,
        requests: 8,
        open: 0,
        attacker: |address, end| {
            let _open = connections(8, address, &upload(6_000_000, 5_999_990), None);
            wait(end);
        },
    });
}

#[test]
fn uploads_that_trickle() {
    under(&Attack {
        name: "HTTP/1: trickling uploads",
        attackers: 1,
        requests: 500,
        open: 700,
        attacker: |address, end| {
            let mut open = connections(500, address, &upload(65_000, 1), None);
            while Instant::now() < end {
                for socket in &mut open {
                    let _gone = socket.write_all(b"x");
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        },
    });
}

#[test]
fn chunks_of_one_byte() {
    under(&Attack {
        name: "HTTP/1: small chunks",
        attackers: 1,
        requests: 50,
        open: 0,
        attacker: |address, end| {
            let mut upload = b"POST /ingest?name=chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            upload.extend(b"1\r\nx\r\n".repeat(60_000));
            let _open = connections(50, address, &upload, None);
            wait(end);
        },
    });
}

#[test]
fn many_elements_of_connection() {
    under(&Attack {
        name: "HTTP/1: connection: a,a,…",
        attackers: 2,
        requests: 2,
        open: 0,
        attacker: |address, end| {
            let elements = "a,".repeat(100_000);
            let request =
                format!("GET /ready HTTP/1.1\r\nHost: h\r\nConnection: {elements}\r\n\r\n");
            while Instant::now() < end {
                let mut client = crate::support::Client::connect(address);
                client.send(request.as_bytes());
                client.receive_for("GET");
            }
        },
    });
}

/// Opens `count` connections and sends `bytes` on each.
pub(crate) fn connections(
    count: usize,
    address: SocketAddr,
    bytes: &[u8],
    receive_buffer: Option<usize>,
) -> Vec<TcpStream> {
    let open = || {
        let mut socket = TcpStream::connect(address).unwrap();
        if let Some(bytes) = receive_buffer {
            SockRef::from(&socket).set_recv_buffer_size(bytes).unwrap();
        }
        let patience = Some(Duration::from_secs(2));
        socket.set_write_timeout(patience).unwrap();
        // The relay may close the connection before it has read all bytes.
        let _gone = socket.write_all(bytes);
        socket
    };
    std::iter::repeat_with(open).take(count).collect()
}

/// An upload of a profile that announces `length` bytes and sends `sent` of them.
fn upload(length: usize, sent: usize) -> Vec<u8> {
    let path = "/ingest?name=stalled&from=1&until=2";
    let mut upload =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    upload.resize(upload.len() + sent, b'x');
    upload
}
