//! The header `OTLP-Profiles-Development-Version`, without which the bytes of a body may mean something else.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::Full;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Relay, Request, Rig, SOON, Upstream,
    command::pyrotee,
    eventually,
    h2::{self, GrpcUpstream},
    message::{export, frame},
    ports::Refusing,
    upstream, verbatim,
};

const PATH: &str = "/v1development/profiles";
const EXPORT: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
const VERSION: &str = "OTLP-Profiles-Development-Version";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn post(path: &str, kind: &str) -> Request {
    Request::post(path, &export(&[("service.name", "shop")]))
        .field("Content-Type", kind)
        .field(VERSION, "2")
        .field("Authorization", "Bearer of-the-client")
        .field("X-Other", "1")
}

fn otlp() -> Request {
    post(PATH, "application/x-protobuf")
}

/// A relay without a local upstream.
fn relay_only(yaml: &str) -> Builder {
    Relay::builder()
        .yaml(yaml)
        .remote_write("disable-local-writes: true")
}

fn in_dir(section: &str, dir: &Path, more: &str) -> String {
    format!("{section}: {{ dir: \"{}\"{more} }}", dir.display())
}

fn assert_versions(request: &upstream::Request, expected: &[&str]) {
    assert_eq!(
        request.head.all(VERSION),
        expected,
        "{}",
        request.head.text()
    );
    for field in ["authorization", "x-other"] {
        assert!(!request.head.has(field), "{}", request.head.text());
    }
}

/// A relay that was killed with one profile in its spool in `dir`. The target `central` of the profile is away.
fn killed(dir: &Path) -> (Builder, Arc<Refusing>) {
    let address = Upstream::ok().stop();
    let builder = relay_only(&in_dir("spool", dir, ", fsync: always"));
    let builder = builder.target_address("central", &format!("http://{address}"), &[]);
    let mut relay = builder.clone().spawn();
    assert_eq!(relay.send(&otlp()).status(), 200);
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    (builder, address)
}

#[test]
fn it_reaches_targets_with_and_without_tags_and_no_other_header_does() {
    let (upstream, plain, tagged) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("plain", &plain, &[])
        .target("tagged", &tagged, &["tags: { env: x }"])
        .spawn();
    assert_eq!(relay.send(&otlp()).status(), 200);
    assert_eq!(upstream.only().head.all(VERSION), ["2"]);
    assert_versions(&plain.only(), &["2"]);
    assert_versions(&tagged.only(), &["2"]);
}

#[test]
fn metadata_of_a_grpc_call_reaches_a_target() {
    let (upstream, target) = (GrpcUpstream::start(), Upstream::ok());
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .target("central", &target, &["tags: { env: x }"])
        .spawn();
    let message = frame(false, &export(&[("service.name", "shop")]));
    let request = hyper::Request::post(format!("http://{}{EXPORT}", relay.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("otlp-profiles-development-version", "2")
        .header("authorization", "Bearer of-the-client")
        .header("x-other", "1")
        .body(Full::new(Bytes::from(message)))
        .unwrap();
    h2::send(relay.addr(), request);
    let arrived = upstream.requests().remove(0);
    assert_eq!(
        arrived.head.headers["otlp-profiles-development-version"],
        "2"
    );
    assert_versions(&target.only(), &["2"]);
}

#[test]
fn a_targets_own_header_wins_and_there_are_never_two() {
    let (own, other) = (Upstream::ok(), Upstream::ok());
    let options = [format!("headers: {{ {VERSION}: \"9\" }}")];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let relay = relay_only("")
        .target("own", &own, &options)
        .target("other", &other, &[])
        .spawn();
    let twice = otlp().field("otlp-profiles-development-version", "3");
    assert_eq!(relay.send(&twice).status(), 200);
    assert_versions(&own.only(), &["9"]);
    assert_versions(&other.only(), &["2"]);
}

#[test]
fn on_other_surfaces_it_has_no_meaning() {
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &[], verbatim);
    let path = "/ingest?name=app&from=1&until=2";
    assert_eq!(rig.send(&post(path, "text/plain")).status(), 200);
    assert_eq!(rig.upstream.only().head.all(VERSION), ["2"]);
    assert_versions(&rig.target.only(), &[]);
}

#[test]
fn it_survives_a_kill_in_the_spool() {
    let dir = home();
    let (builder, address) = killed(dir.path());
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let _relay = builder.spawn();
    assert_versions(&target.only(), &["2"]);
}

#[test]
fn it_is_exported_from_the_spool_and_sent_by_hand() {
    let dir = home();
    let (spool, out) = (dir.path().join("spool"), dir.path().join("out"));
    drop(killed(&spool));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let from = ["--dir", &text(&spool)];
    let export = ["spool", "export", "--out", &text(&out)];
    pyrotee(&[&export[..], &from].concat()).expect(0, &["exported 1 profile,"]);
    let file = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let (sent, replayed) = (Upstream::ok(), Upstream::ok());
    pyrotee(&["send", "--to", &sent.url(), "--file", &text(&file)]).expect(0, &[]);
    assert_versions(&sent.only(), &["2"]);

    let replay = [
        "spool",
        "replay",
        "--target",
        "central",
        "--to",
        &replayed.url(),
    ];
    pyrotee(&[&replay[..], &from].concat()).expect(0, &["sent 1 profile,"]);
    assert_versions(&replayed.only(), &["2"]);
}

#[test]
fn it_is_kept_in_a_dead_letter_and_replayed() {
    let dir = home();
    let refusing = Upstream::answering(Answer::error(400, "invalid_argument", "no"));
    let other = Upstream::ok();
    let relay = relay_only(&in_dir("dead-letters", dir.path(), ""))
        .target("refusing", &refusing, &[])
        .target("other", &other, &["tags: { env: x }"])
        .spawn();
    assert_eq!(relay.send(&otlp()).status(), 200);
    eventually(SOON, "a letter", || {
        let kept = relay
            .metrics()
            .value("pyroscope_remote_write_dead_letters", &[]);
        kept == Some(1.0)
    });
    let admin = relay.admin().to_string();
    let to = [
        "dead-letters",
        "replay",
        "--all",
        "--to",
        "other",
        "--admin",
    ];
    pyrotee(&[&to[..], &[&admin]].concat()).expect(0, &["1 of 1 replayed"]);
    for request in other.wait_for(2, SOON) {
        assert_versions(&request, &["2"]);
    }
}
