//! Paths and methods: which requests are profiles. All other requests pass as well.

use crate::support::{Request, Rig, SOON, Upstream, verbatim};

const QUERY: &str = "name=app&from=1795397490&until=1795397500";

#[test]
fn paths_are_forwarded_raw_and_teed_where_pyroscope_would_ingest() {
    // Go redirects `//ingest`; the relay tees it as a profile.
    let cases = [
        ("/ingest", true),
        ("/pyroscope/ingest", true),
        ("/some/base/path/ingest", true),
        ("//ingest", true),
        ("/%69ngest", true),
        ("/ingest/", false),
        ("/INGEST", false),
        ("/ingest/x", false),
        ("/x-ingest", false),
        ("/ingestion", false),
        ("/x/../render", false),
    ];
    for (path, teed) in cases {
        let rig = Rig::verbatim(Upstream::ok());
        let request = Request::post(&format!("{path}?{QUERY}"), b"profile");
        assert_eq!(rig.send(&request).status(), 200);
        assert_eq!(rig.upstream.only().head.raw(), request.head(), "{path}");
        let got = rig.teed_before_now();
        assert_eq!(got.len(), usize::from(teed), "{path} teed: {got:?}");
        for request in got {
            assert_eq!(
                request.head.path(),
                "/ingest",
                "the canonical path for {path}"
            );
        }
    }
}

#[test]
fn other_methods_on_ingest_are_forwarded_and_never_teed() {
    let rig = Rig::verbatim(Upstream::ok());
    let methods = [
        "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "BREW", "post",
    ];
    for (index, method) in methods.into_iter().enumerate() {
        let request = Request::new(method, &format!("/ingest?{QUERY}"));
        assert_eq!(rig.send(&request).status(), 200, "{method}");
        let arrived = &rig.upstream.wait_for(index + 1, SOON)[index];
        assert_eq!(
            arrived.head.text(),
            String::from_utf8(request.head()).unwrap()
        );
    }
    assert!(rig.teed_before_now().is_empty());
}

#[test]
fn a_put_with_a_body_is_no_profile() {
    let rig = Rig::new();
    let put = Request::new("PUT", &format!("/ingest?{QUERY}"));
    let put = put.field("Content-Length", "4");
    let mut client = rig.client();
    client.send(&put.head()).send(b"body");
    assert_eq!(client.receive().status(), 200);
    assert_eq!(rig.upstream.only().body.data, b"body");
    assert!(rig.teed_before_now().is_empty());
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let answer = crate::support::Answer::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    let rig = Rig::verbatim(Upstream::answering(answer));
    let mut client = rig.client();
    for _ in 0..2 {
        let answer = client.exchange(&Request::new("HEAD", "/render"));
        assert_eq!(
            answer.head.raw(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
        );
    }
}

#[test]
fn an_options_request_for_the_whole_server_passes() {
    let rig = Rig::verbatim(Upstream::ok());
    assert_eq!(rig.send(&Request::new("OPTIONS", "*")).status(), 200);
    assert_eq!(rig.upstream.only().head.start_line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn a_tunnel_to_anywhere_is_refused() {
    let rig = Rig::verbatim(Upstream::ok());
    let connect = Request::new("CONNECT", "127.0.0.1:22").field("Host", "127.0.0.1:22");
    assert_eq!(rig.send(&connect).status(), 405);
    assert!(rig.upstream.arrivals().is_empty());
}

#[test]
fn an_absolute_target_is_taken_as_its_path() {
    // RFC 9112 §3.2.2: every server must accept this form.
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], verbatim);
    let target = format!("http://profiles.example/ingest?{QUERY}");
    let request = Request::post(&target, b"profile").field("Host", "profiles.example");
    assert_eq!(rig.send(&request).status(), 200);
    let arrived = rig.upstream.only();
    assert_eq!(
        arrived.head.start_line(),
        format!("POST /ingest?{QUERY} HTTP/1.1")
    );
    assert_eq!(
        arrived.head.get("host"),
        Some("profiles.example".to_owned())
    );
    assert_eq!(rig.target.only().head.target(), format!("/ingest?{QUERY}"));
}

#[test]
fn the_admin_pages_are_not_on_the_data_listener() {
    let rig = Rig::verbatim(Upstream::ok());
    for (index, path) in ["/metrics", "/-/healthy", "/-/ready"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(rig.send(&Request::get(path)).status(), 200);
        assert_eq!(
            rig.upstream.wait_for(index + 1, SOON)[index].head.target(),
            path
        );
    }
}

#[test]
fn requests_in_a_pipeline_are_answered_in_order() {
    let rig = Rig::verbatim(Upstream::script(|arrival| {
        crate::support::Answer::status(200, arrival.head.target().as_bytes())
    }));
    let mut client = rig.client();
    let both = [
        Request::get("/first").bytes(),
        Request::get("/second").bytes(),
    ]
    .concat();
    client.send(&both);
    assert_eq!(client.receive_for("GET").body.data, b"/first");
    assert_eq!(client.receive_for("GET").body.data, b"/second");
}
