//! Connections to a TLS port that do not speak TLS, or do not finish a handshake.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::listeners::{Listener, Listeners};
use crate::support::SOON;

/// A ClientHello of TLS 1.1.
pub(super) const OLD_HELLO: [u8; 50] = {
    let mut hello = [7; 50];
    let head = [22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    let tail = [0, 0, 2, 0, 47, 1, 0];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    while at < 43 + tail.len() {
        hello[at] = if at < 43 { 7 } else { tail[at - 43] };
        at += 1;
    }
    hello
};

/// What a client does after it has sent its bytes.
#[derive(Clone, Copy)]
enum Then {
    Read,
    FinishAndRead,
    Close,
    Reset,
}

/// What a client reads.
enum Reads {
    /// A 400 that names https.
    UseHttps,
    /// An alert.
    Alert,
    /// An alert, or nothing but the end.
    AlertOrEnd,
    /// Nothing but the end.
    Nothing,
    /// The client does not look.
    Unseen,
}

struct Case {
    word: &'static str,
    /// Pieces that are sent one by one.
    sent: Vec<Vec<u8>>,
    then: Then,
    reads: Reads,
    /// The kind that is counted; `None`: nothing is.
    kind: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let case = |word, sent: &[&[u8]], then, reads, kind| Case {
        word,
        sent: sent.iter().map(|piece| piece.to_vec()).collect(),
        then,
        reads,
        kind,
    };
    let get = b"GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n";
    let post = b"POST /ingest?name=app HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000000\r\n\r\n";
    let bytes: Vec<&[u8]> = get.chunks(1).collect();
    let large = vec![b'p'; 1_000_000];
    let (hello, half) = (&OLD_HELLO[..], &OLD_HELLO[..20]);
    let not_tls = Some("not_tls");
    let mut long_record = [7; 40];
    long_record[..5].copy_from_slice(&[22, 3, 1, 255, 255]);
    vec![
        case("HTTP", &[get], Then::Read, Reads::UseHttps, not_tls),
        case(
            "HTTP and the end",
            &[get],
            Then::FinishAndRead,
            Reads::UseHttps,
            not_tls,
        ),
        case(
            "HTTP by the byte",
            &bytes,
            Then::Read,
            Reads::UseHttps,
            not_tls,
        ),
        case(
            "HTTP with a body",
            &[post, &large],
            Then::Read,
            Reads::UseHttps,
            not_tls,
        ),
        case(
            "the preface of HTTP/2",
            &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"],
            Then::Read,
            Reads::UseHttps,
            not_tls,
        ),
        case("zeros", &[&[0; 64]], Then::Read, Reads::UseHttps, not_tls),
        case(
            "a hello of SSL 2",
            &[&[0x80, 46, 1, 3, 1]],
            Then::Read,
            Reads::UseHttps,
            not_tls,
        ),
        case(
            "HTTP that is not read",
            &[get],
            Then::Reset,
            Reads::Unseen,
            not_tls,
        ),
        case(
            "TLS 1.1",
            &[hello],
            Then::Read,
            Reads::Alert,
            Some("incompatible"),
        ),
        case(
            "a record of noise",
            &[&[22, 3, 1, 0, 16], &[9; 16]],
            Then::Read,
            Reads::AlertOrEnd,
            Some("other"),
        ),
        case(
            "a record that is too long",
            &[&long_record],
            Then::Read,
            Reads::AlertOrEnd,
            Some("other"),
        ),
        case(
            "half a hello",
            &[half],
            Then::Close,
            Reads::Unseen,
            Some("closed"),
        ),
        case(
            "half a hello and the end",
            &[half],
            Then::FinishAndRead,
            Reads::Nothing,
            Some("closed"),
        ),
        case(
            "half a hello and a reset",
            &[half],
            Then::Reset,
            Reads::Unseen,
            Some("closed"),
        ),
        case("a probe", &[], Then::Close, Reads::Unseen, None),
        case(
            "a probe that finishes",
            &[],
            Then::FinishAndRead,
            Reads::Nothing,
            None,
        ),
        case("a probe that resets", &[], Then::Reset, Reads::Unseen, None),
    ]
}

impl Case {
    fn run(&self, it: &Listeners, listener: Listener) {
        let mut socket = TcpStream::connect(it.address(listener)).expect("the relay accepts");
        socket
            .set_read_timeout(Some(2 * SOON))
            .expect("it takes a timeout");
        socket.set_nodelay(true).expect("a socket");
        for piece in &self.sent {
            // The relay may have answered and closed.
            drop(socket.write_all(piece));
            if self.sent.len() > 2 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        match self.then {
            Then::Read | Then::Close => {}
            Then::FinishAndRead => drop(socket.shutdown(Shutdown::Write)),
            Then::Reset => SockRef::from(&socket)
                .set_linger(Some(Duration::ZERO))
                .expect("a socket"),
        }
        let what = format!("{} on {listener:?}", self.word);
        if !matches!(self.reads, Reads::Unseen) {
            let mut read = Vec::new();
            // A reset after the response changes nothing.
            drop(socket.read_to_end(&mut read));
            let text = String::from_utf8_lossy(&read);
            match &self.reads {
                Reads::UseHttps => assert!(
                    text.starts_with("HTTP/1.1 400 Bad Request\r\n")
                        && text.contains("write https:// instead of http://"),
                    "{what}: {text}"
                ),
                Reads::Alert => assert_eq!(read.first(), Some(&21), "{what}: {read:?}"),
                Reads::AlertOrEnd => {
                    assert!(matches!(read.first(), None | Some(&21)), "{what}: {read:?}")
                }
                Reads::Nothing | Reads::Unseen => assert_eq!(read, b"", "{what}"),
            }
        }
    }
}

#[test]
fn what_is_no_handshake_gets_words_and_is_counted_by_kind() {
    let it = Listeners::new("", "");
    for listener in Listener::ALL {
        for case in cases() {
            let before = it.failures(listener);
            case.run(&it, listener);
            match case.kind {
                Some(kind) => it.wait_failures(listener, &before, kind, 1.0, case.word),
                None => {
                    // The relay has seen the end of the probe when it has served a later client.
                    let served = it.trusted.send(it.address(listener), &listener.request());
                    assert_eq!(served.expect(case.word).status(), 200);
                    assert_eq!(it.failures(listener), before, "{}", case.word);
                }
            }
        }
        for kind in ["not_tls", "incompatible", "other", "closed"] {
            assert_eq!(it.lines(listener, kind), 1, "one line a minute of {kind}");
        }
    }
}
