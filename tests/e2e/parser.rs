//! Heads that are odd or broken: what the parser refuses with a 400, and what passes.

use crate::support::{Answer, Rig, SOON, Upstream, client, verbatim};

/// A place in a request for one byte, and the bytes that the parser accepts there.
struct Place {
    name: &'static str,
    before: &'static [u8],
    after: &'static [u8],
    takes: fn(u8) -> bool,
}

/// The table of `docs/transparency.md`.
const PLACES: [Place; 5] = [
    Place {
        name: "method",
        before: b"GE",
        after: b"T /a HTTP/1.1\r\nHost: h\r\n\r\n",
        takes: is_token,
    },
    Place {
        name: "path",
        before: b"GET /a",
        after: b" HTTP/1.1\r\nHost: h\r\n\r\n",
        takes: |byte| matches!(byte, 0x21..=0x7e) && !b"<>`".contains(&byte),
    },
    Place {
        name: "query",
        before: b"GET /a?b",
        after: b" HTTP/1.1\r\nHost: h\r\n\r\n",
        takes: |byte| matches!(byte, 0x21..=0x7e) && !b"\"<>".contains(&byte),
    },
    Place {
        name: "name of a header",
        before: b"GET /a HTTP/1.1\r\nHost: h\r\nX-",
        after: b"Y: v\r\n\r\n",
        takes: |byte| is_token(byte) || byte == b':',
    },
    Place {
        name: "value of a header",
        before: b"GET /a HTTP/1.1\r\nHost: h\r\nX-Y: a",
        after: b"b\r\n\r\n",
        takes: |byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff),
    },
];

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[test]
fn each_byte_passes_or_is_a_400_as_the_table_says() {
    let rig = Rig::verbatim(Upstream::ok());
    let mut passed = 0;
    for place in PLACES {
        for byte in 0..=u8::MAX {
            let request = [place.before, &[byte], place.after].concat();
            let answer = client::send_raw(rig.relay.addr(), &request);
            let takes = (place.takes)(byte);
            passed += usize::from(takes);
            let expected = if takes { 200 } else { 400 };
            assert_eq!(answer.status(), expected, "{} {byte:#04x}", place.name);
        }
    }
    assert_eq!(rig.upstream.arrivals().len(), passed);
}

#[test]
fn utf_8_passes_in_a_target() {
    let rig = Rig::verbatim(Upstream::ok());
    let request = "GET /ä?€ HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(
        client::send_raw(rig.relay.addr(), request.as_bytes()).status(),
        200
    );
    let only = rig.upstream.only();
    assert!(
        only.head
            .raw()
            .starts_with("GET /ä?€ HTTP/1.1\r\n".as_bytes())
    );
}

#[test]
fn framings_that_servers_read_differently_are_a_400() {
    let rig = Rig::verbatim(Upstream::ok());
    for head in [
        "POST /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nContent-Length: 6",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6, 6",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +6",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0x6",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nContent-Length: 7",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 6",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity",
        "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked",
        "POST /a HTTP/1.2\r\nHost: h\r\nContent-Length: 6",
        "POST  /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6",
        "POST /a",
    ] {
        let request = format!("{head}\r\n\r\nabcdef");
        let answer = client::send_raw(rig.relay.addr(), request.as_bytes());
        assert_eq!(answer.status(), 400, "{head}");
    }
    assert!(rig.upstream.arrivals().is_empty());

    let twice =
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\nabcdef";
    assert_eq!(
        client::send_raw(rig.relay.addr(), twice.as_bytes()).status(),
        200
    );
    assert_eq!(rig.upstream.only().body.data, b"abcdef");
}

#[test]
fn a_request_without_host_goes_on_with_the_upstreams() {
    let rig = Rig::new();
    for version in ["1.0", "1.1"] {
        let request = format!("POST /ingest?name=a HTTP/{version}\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(
            client::send_raw(rig.relay.addr(), request.as_bytes()).status(),
            200
        );
    }
    for arrived in rig.upstream.wait_for(2, SOON) {
        let host = rig.upstream.url().replace("http://", "");
        assert_eq!(arrived.head.all("host"), [host]);
    }
    assert_eq!(rig.settled(2).sent.profiles, 2);
}

#[test]
fn user_and_password_of_a_target_are_no_part_of_the_host() {
    let rig = Rig::new();
    let request = b"GET http://u:p@profiles:99/a HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(client::send_raw(rig.relay.addr(), request).status(), 200);
    let arrived = rig.upstream.only();
    assert_eq!(arrived.head.start_line(), "GET /a HTTP/1.1");
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(arrived.head.all(name), ["profiles:99"], "{name}");
    }
}

#[test]
fn a_chain_of_proxies_that_is_not_ascii_is_kept() {
    let rig = Rig::new();
    let request = b"GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\xff\r\n\
                    X-Forwarded-For: 5.6.7.8\r\n\r\n";
    assert_eq!(client::send_raw(rig.relay.addr(), request).status(), 200);
    let head = rig.upstream.only().head;
    let raw = head.raw();
    let line = b"X-Forwarded-For: 1.2.3.4\xff, 5.6.7.8, 127.0.0.1\r\n";
    assert!(
        raw.windows(line.len()).any(|window| window == line),
        "{}",
        raw.escape_ascii()
    );
}

#[test]
fn a_list_as_long_as_a_head_passes_and_its_first_elements_count() {
    let rig = Rig::verbatim(Upstream::ok());
    let many = "a,".repeat(100_000);
    let request = format!(
        "GET /a HTTP/1.1\r\nHost: h\r\nConnection: x-mine,{many}x-late\r\nX-Mine: 1\r\nX-Late: 2\r\n\r\n"
    );
    assert_eq!(
        client::send_raw(rig.relay.addr(), request.as_bytes()).status(),
        200
    );
    let head = rig.upstream.only().head;
    assert!(!head.has("connection") && !head.has("x-mine") && head.has("x-late"));
}

#[test]
fn a_response_with_two_framings_is_passed_on_with_one() {
    let chunks = b"3\r\nabc\r\n0\r\n\r\n";
    for fields in [
        "Content-Length: 30\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 30",
    ] {
        let raw = [
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(),
            chunks,
        ]
        .concat();
        let rig = Rig::with(
            Upstream::answering(Answer::raw(&raw)),
            Upstream::ok(),
            &[],
            verbatim,
        );
        let mut client = rig.client();
        for _ in 0..2 {
            client.send(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
            let answer = client.receive();
            assert!(!answer.head.has("content-length"), "{}", answer.head.text());
            assert_eq!(answer.body.data, b"abc");
        }
    }
}

#[test]
fn an_upstream_that_switches_protocols_unasked_is_a_502() {
    let rig = Rig::verbatim(Upstream::answering(Answer::upgrade("x")));
    let answer = client::send_raw(rig.relay.addr(), b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answer.status(), 502);
}
