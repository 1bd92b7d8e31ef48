//! How ingestion requests are recognised, and the paths to which a target gets them.

use crate::support::{
    Answer, Client, Count, Relay, Request, Rig, SOON, Upstream,
    key::Key,
    message::{all, export, field, frame, one_series, resources, series},
    ports::Refusing,
    verbatim,
};

const PUSH: &str = "/push.v1.PusherService/Push";
const OTLP: &str = "/v1development/profiles";
const OTLP_V1: &str = "/v1/profiles";

fn post(path: &str, kind: &str, body: &[u8]) -> Request {
    Request::post(path, body).field("Content-Type", kind)
}

#[test]
fn either_version_of_otlp_is_teed_under_the_version_it_came_with() {
    let service = |version: &str| {
        format!("/opentelemetry.proto.collector.profiles.{version}.ProfilesService/Export")
    };
    let body = export(&[("a", "1")]);
    for (path, kind, body, sent_to) in [
        (OTLP, "application/x-protobuf", body.clone(), OTLP),
        (OTLP_V1, "application/x-protobuf", body.clone(), OTLP_V1),
        (
            "/x/v1/profiles",
            "application/json",
            b"{}".to_vec(),
            OTLP_V1,
        ),
        (
            &service("v1development"),
            "application/grpc",
            frame(false, &body),
            OTLP,
        ),
        (
            &service("v1"),
            "application/grpc",
            frame(false, &body),
            OTLP_V1,
        ),
    ] {
        let rig = Rig::with(
            Upstream::ok(),
            Upstream::ok(),
            &["tags: { env: x }"],
            verbatim,
        );
        assert_eq!(rig.send(&post(path, kind, &body)).status(), 200);
        assert_eq!(rig.upstream.only().head.path(), path);
        let teed = rig.target.only();
        assert_eq!(teed.head.start_line(), format!("POST {sent_to} HTTP/1.1"));
        if kind != "application/json" {
            assert_eq!(resources(&teed.body.data)[0].len(), 2);
        }
        let labels = [("surface", "otlp")];
        let metrics = rig.relay.metrics();
        assert_eq!(metrics.sum("pyroscope_relay_ingested_total", &labels), 1.0);
    }
}

#[test]
fn a_target_that_knows_one_version_of_otlp_gets_that() {
    let target = Upstream::script(|request| match request.head.path().as_str() {
        OTLP_V1 => Answer::status(404, b"no route"),
        _ => Answer::ok(),
    });
    let rig = Rig::with(Upstream::ok(), target, &[], verbatim);
    for path in [OTLP_V1, OTLP_V1, OTLP] {
        let request = post(path, "application/x-protobuf", &export(&[("a", "1")]));
        assert_eq!(rig.send(&request).status(), 200);
    }
    let ledger = rig
        .relay
        .wait_ledger("central", "one sent", |it| it.sent.profiles == 1);
    assert_eq!(ledger.accepted.profiles, 3);
}

#[test]
fn the_version_survives_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let spool = format!("spool: {{ dir: \"{}\" }}", dir.path().display());
    let relay = |address: &str| {
        Relay::builder()
            .yaml(&spool)
            .yaml("shutdown: { grace: 0 }")
            .remote_write("disable-local-writes: true")
            .target_address("central", address, &[])
            .spawn()
    };
    let mut first = relay(&Refusing::new().url());
    let request = post(OTLP_V1, "application/x-protobuf", &export(&[("a", "1")]));
    assert_eq!(first.send(&request).status(), 200);
    first.sigterm();
    first.wait(SOON).expect("it stops");
    let target = Upstream::ok();
    let _second = relay(&target.url());
    assert_eq!(target.only().head.path(), OTLP_V1);
}

#[test]
fn a_target_gets_a_surface_where_its_configuration_says() {
    let paths = "paths: { ingest: /gw/profiles, push: /gw/push/, otlp: /gw/otlp }";
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[paths], verbatim);
    let requests = [
        Request::profile("app", b"profile"),
        post(PUSH, "application/proto", &one_series(&[("a", "b")], b"p")),
        post(OTLP, "application/x-protobuf", &export(&[("a", "1")])),
        post(OTLP_V1, "application/x-protobuf", &export(&[("a", "1")])),
    ];
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(rig.send(request).status(), 200);
        rig.target.wait_for(index + 1, SOON);
    }
    let paths = rig.target.requests().into_iter().map(|it| it.head.path());
    assert_eq!(
        paths.collect::<Vec<_>>(),
        ["/gw/profiles", "/gw/push/", "/gw/otlp", "/gw/otlp"]
    );
    assert!(rig.target.requests()[0].head.query().contains("name=app"));
}

#[test]
fn uploads_that_look_like_profiles_are_counted_and_told_once_for_each_route() {
    let rig = Rig::verbatim(Upstream::answering(Answer::status(404, b"")));
    let count = || {
        let metrics = rig.relay.metrics();
        metrics.value("pyroscope_relay_unrecognised_profiles_total", &[])
    };
    assert_eq!(count(), Some(0.0));
    let other = ["/upload", "/ingest/x", "/querier.v1.QuerierService/Series"];
    for path in other {
        rig.send(&Request::post(path, b"x"));
    }
    Client::connect(rig.relay.addr())
        .send(&Request::get("/api/profiles").bytes())
        .receive();
    assert_eq!(count(), Some(0.0));
    for path in ["/ingest/", "/ingest/?name=secret", "/Push", "/a/profiles"] {
        rig.send(&Request::post(path, b"x"));
    }
    let long = format!("/{}/push.v2.PusherService/Push", "x".repeat(10_000));
    rig.send(&Request::post(&long, b"x"));
    for n in 0..30 {
        rig.send(&Request::post(&format!("/{n}/ingest/"), b"x"));
    }
    assert_eq!(count(), Some(35.0));
    let logs = rig.relay.output();
    let told: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("looks like a profile"))
        .collect();
    assert_eq!(told.len(), 16, "{logs}");
    assert!(told.iter().all(|line| line.len() < 400), "{logs}");
    assert_eq!(
        told.iter()
            .filter(|line| line.contains("\"/ingest/\""))
            .count(),
        1,
        "{logs}"
    );
    assert!(!logs.contains("secret"), "{logs}");
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
}

#[test]
fn the_application_of_a_tag_goes_before_that_of_a_sample() {
    let entry = |key: u8, value: &str| {
        let value = field(2, &field(1, value.as_bytes()));
        field(6, &[&[0x08, key][..], &value].concat())
    };
    let strings = ["", "service.name", "thread"]
        .map(|text| field(5, text.as_bytes()))
        .concat();
    let dictionary = |app: &str| {
        let table = [entry(1, app), entry(2, "main")].concat();
        field(2, &[strings.clone(), table].concat())
    };
    let resource = field(1, &field(2, b"scope"));
    let sent = [resource, dictionary("its own")].concat();
    let rig = Rig::with(
        Upstream::ok(),
        Upstream::ok(),
        &["tags: { service_name: shop }"],
        verbatim,
    );
    assert_eq!(
        rig.send(&post(OTLP, "application/x-protobuf", &sent))
            .status(),
        200
    );
    assert_eq!(rig.upstream.only().body.raw, sent);
    let teed = rig.target.only().body.data;
    let apps: Vec<_> = all(&all(&teed, 2).concat(), 6)
        .iter()
        .map(|entry| all(&all(entry, 2).concat(), 1).concat())
        .collect();
    assert_eq!(apps, [b"shop".to_vec(), b"main".to_vec()]);
    let app = ("service.name".to_owned(), "shop".to_owned());
    assert_eq!(resources(&teed), [vec![app]]);
}

#[test]
fn keys_with_dots_reach_a_target_that_takes_them_on_every_surface() {
    let options = ["tag-keys: utf8", "tags: { k8s.pod: p, cluster-name: c }"];
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &options, verbatim);
    let requests = [
        Request::profile("app", b"profile"),
        post(PUSH, "application/proto", &one_series(&[], b"p")),
        post(OTLP, "application/x-protobuf", &export(&[])),
    ];
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(rig.send(request).status(), 200);
        rig.target.wait_for(index + 1, SOON);
    }
    let teed = rig.target.requests();
    let pairs = [("cluster_name", "c"), ("k8s.pod", "p")];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(
        Key::of(&teed[0].head.query()),
        Key::new("app", &[("cluster_name", "c"), ("k8s.pod", "p")])
    );
    assert_eq!(series(&teed[1].body.data)[0].labels, pairs);
    assert_eq!(resources(&teed[2].body.data)[0], pairs);
}
