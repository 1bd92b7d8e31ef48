//! Content types and content codings: the relay decodes, encodes, guesses and adds nothing.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use crate::support::{Answer, Request, Rig, Upstream, client::noise, verbatim};

/// Uploads with these fields and checks that both sides get them, the query and the body as sent.
fn passes(query: &str, fields: &[(&str, &str)], body: &[u8]) {
    let rig = Rig::with(
        Upstream::ok(),
        Upstream::ok(),
        &["tags: {env: x}"],
        verbatim,
    );
    let path = format!("/ingest?name=app&from=1795397490&until=1795397500{query}");
    let request = fields
        .iter()
        .fold(Request::post(&path, body), |request, (name, value)| {
            request.field(name, value)
        });
    assert_eq!(rig.send(&request).status(), 200);
    let (upstream, target) = (rig.upstream.only(), rig.target.only());
    assert_eq!(upstream.head.raw(), request.head());
    for name in ["content-type", "content-encoding"] {
        let sent = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        assert_eq!(
            target.head.get(name),
            sent.map(|(_, value)| (*value).to_owned()),
            "{name}"
        );
    }
    assert!(
        target.head.query().ends_with(query),
        "{}",
        target.head.query()
    );
    assert_eq!(
        target.head.query().contains("format="),
        query.contains("format=")
    );
    assert_eq!(upstream.body.data, body);
    assert_eq!(target.body.data, body);
}

#[test]
fn a_gzipped_pprof_stays_as_it_is() {
    // As the Python SDK 0.8.16 sends it.
    let body = gzip(b"pprof");
    let fields = [
        ("content-type", "binary/octet-stream"),
        ("content-encoding", "gzip"),
    ];
    passes("&format=pprof&spyName=pyspy", &fields, &body);
}

#[test]
fn a_gzipped_text_and_the_refusal_of_it_pass() {
    // A modern server does not unzip it.
    passes("", &[("Content-Encoding", "gzip")], &gzip(b"a;b 1\n"));

    let refusal = Answer::error(422, "unknown", "strconv.Atoi: parsing: invalid syntax");
    let rig = Rig::verbatim(Upstream::answering(refusal.clone()));
    let request = Request::profile("app", &gzip(b"a;b 1\n")).field("Content-Encoding", "gzip");
    let answer = rig.send(&request);
    assert_eq!(answer.status(), 422);
    assert_eq!(
        answer.json()["message"],
        "strconv.Atoi: parsing: invalid syntax"
    );
    // The profile is teed whatever the upstream responds: a target may be of another generation.
    assert_eq!(rig.target.only().body.data, gzip(b"a;b 1\n"));
}

#[test]
fn unknown_and_upper_case_codings_pass() {
    for coding in ["GZIP", "zstd", "br", "identity", "gzip, zstd"] {
        passes("", &[("Content-Encoding", coding)], b"anything");
    }
}

#[test]
fn a_multipart_boundary_keeps_its_quotes_and_its_length() {
    let long = format!("multipart/form-data; boundary={}", "b".repeat(70));
    for kind in [
        "multipart/form-data; boundary=\"a b:c\"",
        &long,
        "Multipart/Form-Data;boundary=x",
    ] {
        passes("", &[("Content-Type", kind)], b"--x--");
    }
}

#[test]
fn a_given_format_is_kept_and_none_is_invented() {
    // As the Node SDK 0.6.4 sends it.
    passes(
        "&format=pprof",
        &[("content-type", "application/octet-stream")],
        b"\x1f\x8b",
    );
    passes("", &[], b"no content type at all");
}

#[test]
fn a_form_that_became_text_passes_with_its_refusal() {
    // The Node SDK, see grafana/pyroscope-nodejs#179.
    let refusal = Answer::error(422, "unknown", "strconv.Atoi: parsing \\\"FormData]\\\"");
    let rig = Rig::verbatim(Upstream::answering(refusal));
    let request = Request::profile("app", b"[object FormData]")
        .field("Content-Type", "text/plain;charset=UTF-8");
    let answer = rig.send(&request);
    assert_eq!(answer.status(), 422);
    assert_eq!(
        answer.json()["message"],
        "strconv.Atoi: parsing \"FormData]\""
    );
    let teed = rig.target.only();
    assert_eq!(
        teed.head.get("content-type"),
        Some("text/plain;charset=UTF-8".to_owned())
    );
    assert_eq!(teed.body.data, b"[object FormData]");
}

#[test]
fn a_refused_profile_is_not_teed_where_success_is_asked_for() {
    let upstream = Upstream::script(|arrival| {
        let good = arrival.head.query().contains("the.marker");
        Answer::status(if good { 200 } else { 422 }, b"")
    });
    let rig = Rig::with(upstream, Upstream::ok(), &[], |builder| {
        builder.yaml("tee: { on: upstream-success }")
    });
    assert_eq!(rig.send(&Request::profile("app", b"x")).status(), 422);
    assert!(rig.teed_before_now().is_empty());
}

#[test]
fn a_zipped_answer_is_not_unzipped() {
    let text = noise(3000);
    let zipped = gzip(&text);
    let fields = [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")];
    let rig = Rig::verbatim(Upstream::answering(Answer::with(200, &fields, &zipped)));
    let answer = rig.send(&Request::get("/render").field("Accept-Encoding", "gzip;q=1, zz"));
    assert_eq!(answer.head.get("content-encoding"), Some("gzip".to_owned()));
    assert_eq!(answer.body.data, zipped);
    assert_eq!(
        rig.upstream.only().head.get("accept-encoding"),
        Some("gzip;q=1, zz".to_owned())
    );

    let rig = Rig::verbatim(Upstream::ok());
    rig.send(&Request::get("/render"));
    assert!(!rig.upstream.only().head.has("accept-encoding"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
