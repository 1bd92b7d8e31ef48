//! The limits of the HTTP parser: at each of them the client gets a response.

use crate::support::{Client, Request, Rig, client};

#[test]
fn characters_the_parser_refuses_are_a_400_and_go_nowhere() {
    // Go accepts these characters; a documented difference.
    let rig = Rig::new();
    for bad in [&b"\""[..], b"<", b">", b"\xff"] {
        let mut request = b"POST /ingest?name=a".to_vec();
        request.extend_from_slice(bad);
        request.extend_from_slice(b"b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(
            client::send_raw(rig.relay.addr(), &request).status(),
            400,
            "{bad:?}"
        );
    }
    assert!(rig.teed_before_now().is_empty());
    assert_eq!(
        rig.upstream.arrivals().len(),
        1,
        "only the marker may arrive"
    );
}

#[test]
fn a_fragment_is_cut_off() {
    // Go keeps the fragment in the value; a documented difference.
    let rig = Rig::new();
    let answer = rig.send(&Request::post("/ingest?name=a#frag", b"x"));
    assert_eq!(answer.status(), 200);
    assert_eq!(rig.upstream.only().head.target(), "/ingest?name=a");
}

#[test]
fn a_head_of_200_kilobytes_passes_and_one_of_300_is_a_431() {
    let rig = Rig::new();
    let long = |kilobytes: usize| {
        Request::post("/ingest?name=a", b"x").field("X-Long", &"v".repeat(kilobytes * 1024))
    };
    assert_eq!(rig.send(&long(200)).status(), 200);
    let arrived = rig.upstream.only();
    assert_eq!(
        arrived.head.get("x-long").map(|value| value.len()),
        Some(200 * 1024)
    );
    assert_eq!(rig.send(&long(300)).status(), 431);
    assert_eq!(rig.upstream.arrivals().len(), 1);
}

#[test]
fn a_head_of_128_fields_passes_and_one_more_is_a_431() {
    // 110 would already be too many for hyper's default.
    let rig = Rig::new();
    let many = |count: usize| {
        // `Host` and `Content-Length` are two of the fields.
        let fields = (2..count).map(|n| (format!("X-Field-{n}"), n.to_string()));
        fields.fold(Request::post("/ingest?name=a", b"x"), |r, (name, value)| {
            r.field(&name, &value)
        })
    };
    assert_eq!(rig.send(&many(110)).status(), 200);
    assert_eq!(rig.send(&many(128)).status(), 200);
    let arrived = rig.upstream.wait_for(2, crate::support::SOON);
    assert_eq!(arrived[0].head.get("x-field-109"), Some("109".to_owned()));
    assert_eq!(arrived[1].head.get("x-field-127"), Some("127".to_owned()));
    assert_eq!(rig.send(&many(129)).status(), 431);
    assert_eq!(rig.upstream.arrivals().len(), 2);
}

#[test]
fn a_target_of_60_kilobytes_passes_and_one_over_64_kibibytes_is_a_414() {
    let rig = Rig::new();
    let long = |length: usize| {
        let start = "/ingest?from=1&until=2&name=a{v=";
        Request::post(
            &format!("{start}{}}}", "v".repeat(length - start.len() - 1)),
            b"x",
        )
    };
    assert_eq!(rig.send(&long(60_000)).status(), 200);
    assert_eq!(rig.upstream.only().head.target().len(), 60_000);
    assert_eq!(rig.target.only().head.target().len(), 60_000);
    assert_eq!(rig.send(&long(65_600)).status(), 414);
    assert_eq!(rig.upstream.arrivals().len(), 1);
}

#[test]
fn two_framings_in_one_request_are_refused_and_go_nowhere() {
    let rig = Rig::new();
    let smuggled = b"POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\
                     Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = Client::connect(rig.relay.addr());
    let answer = client.send(smuggled).try_receive("POST");
    // hyper may also read the body by its chunks, as RFC 9112 §6.1 allows. Then it must close the connection and pass
    // one framing on. The stand-in refuses two framings.
    if let Some(answer) = answer {
        assert!(matches!(answer.status(), 200 | 400), "{answer:?}");
    }
    rig.teed_before_now();
    let smuggled = rig
        .upstream
        .arrivals()
        .iter()
        .any(|r| r.head.path() == "/smuggled");
    assert!(!smuggled, "{:?}", rig.upstream.arrivals());
}
