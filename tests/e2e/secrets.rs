//! Secrets of targets and clients are shown nowhere, whatever goes wrong.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;

use crate::support::{
    Answer, Arrival, Builder, Relay, Request, SOON, Upstream,
    client::{self, noise},
    eventually, h2,
    ports::Refusing,
};

/// Credentials of targets, as the configuration contains them.
const OURS: [&str; 10] = [
    "S3cr-token-of-good",
    "S3cr-header-of-good",
    "S3cr-token-by-variable",
    "S3cr-basic-user",
    "S3cr-basic-password",
    "S3cr-userinfo-user",
    "S3cr-userinfo-password",
    "S3cr-header-by-variable",
    "S3cr-dns-password",
    "S3cr-token-of-refusing",
];

/// Secrets that clients send to the local upstream.
const THEIRS: [&str; 4] = [
    "S3cr-client-token",
    "S3cr-client-cookie",
    "S3cr-client-tenant",
    "S3cr-client-grpc",
];

/// All spellings in which a secret could be written.
fn spellings() -> Vec<String> {
    let mut all: Vec<String> = OURS.iter().chain(&THEIRS).map(|&s| s.to_owned()).collect();
    all.push("S3cr-basic-user:S3cr-basic-password".to_owned());
    all.push("S3cr-userinfo-user:S3cr-userinfo-password".to_owned());
    all.push("u:S3cr-dns-password".to_owned());
    let coded: Vec<_> = all.iter().map(|s| STANDARD_NO_PAD.encode(s)).collect();
    // Debug output of bytes, as a careless `{:?}` of a header or a buffer would print.
    let bytes: Vec<_> = all.iter().map(|s| format!("{:?}", s.as_bytes())).collect();
    let lists = bytes.iter().map(|s| s.trim_matches(['[', ']']).to_owned());
    let lists: Vec<_> = lists.collect();
    all.into_iter().chain(coded).chain(lists).collect()
}

fn assert_clean(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what} is empty, which proves nothing");
    for secret in spellings() {
        assert!(!text.contains(&secret), "{secret} in {what}:\n{text}");
    }
}

struct Targets {
    good: Upstream,
    refusing: Upstream,
    failing: Upstream,
    redirecting: Upstream,
    redirected: Upstream,
    resetting: Upstream,
    dead: Refusing,
    /// A directory of credentials, as systemd would provide.
    credentials: tempfile::TempDir,
}

impl Targets {
    fn new() -> Self {
        let redirected = Upstream::ok();
        let credentials = tempfile::tempdir().expect("a folder can be made");
        let token = credentials.path().join("good");
        std::fs::write(token, "S3cr-token-of-good\n").expect("a file can be written");
        let location = format!("{}/ingest?name=elsewhere", redirected.url());
        Self {
            good: Upstream::ok(),
            refusing: Upstream::script(|arrival| repeating(401, arrival)),
            failing: Upstream::script(|arrival| repeating(500, arrival)),
            redirecting: Upstream::answering(Answer::with(302, &[("Location", &location)], b"")),
            redirected,
            resetting: Upstream::answering(Answer::raw(b"").unread().reset()),
            dead: Refusing::new(),
            credentials,
        }
    }

    fn configure(&self, builder: Builder) -> Builder {
        let userinfo = |url: &str| {
            url.replace("//", "//S3cr-userinfo-user:S3cr-userinfo-password@") + "/prefix"
        };
        builder
            .env("E2E_TOKEN", "S3cr-token-by-variable")
            .env("E2E_HEADER", "S3cr-header-by-variable")
            .env("E2E_DNS", "S3cr-dns-password")
            .env(
                "CREDENTIALS_DIRECTORY",
                &self.credentials.path().display().to_string(),
            )
            .target(
                "good",
                &self.good,
                &[
                    "auth-token: \"${file:good}\"",
                    "headers: { X-Api-Key: S3cr-header-of-good }",
                    "tags: { env: test }",
                ],
            )
            .target(
                "refusing",
                &self.refusing,
                &[
                    "auth-token: \"${E2E_TOKEN}\"",
                    "headers: { X-Key: \"${E2E_HEADER}\" }",
                ],
            )
            .target(
                "failing",
                &self.failing,
                &[
                    "basic-auth-user: S3cr-basic-user",
                    "basic-auth-password: S3cr-basic-password",
                ],
            )
            .target_address("redirecting", &userinfo(&self.redirecting.url()), &[])
            .target_address("resetting", &userinfo(&self.resetting.url()), &[])
            .target_address("nowhere", "http://u:${E2E_DNS}@nowhere.invalid:4040/x", &[])
            .target_address(
                "dead",
                &self.dead.url(),
                &["auth-token: S3cr-token-of-refusing"],
            )
    }
}

/// Some gateways repeat the credentials that they refuse.
fn repeating(status: u16, arrival: &Arrival<'_>) -> Answer {
    let got = |name: &str| arrival.head.get(name).unwrap_or_default();
    let text = format!("refused {} and {}", got("authorization"), got("x-key"));
    Answer::error(status, "unauthenticated", &text)
}

fn of_a_client(app: &str) -> Request {
    Request::profile(app, &noise(2_000))
        .field("Authorization", "Bearer S3cr-client-token")
        .field("Cookie", "session=S3cr-client-cookie")
        .field("X-Scope-OrgID", "S3cr-client-tenant")
}

#[test]
fn secrets_of_targets_and_clients_are_shown_nowhere_and_sent_to_nobody_else() {
    let (upstream, targets) = (Upstream::ok(), Targets::new());
    let builder = Relay::builder()
        .upstream(&upstream)
        .env("PYROTEE__LOG__LEVEL", "trace");
    let relay = targets.configure(builder).spawn();
    for _ in 0..5 {
        assert_eq!(relay.send(&of_a_client("app")).status(), 200);
    }
    grpc(&relay);
    targets.good.wait_for(5, SOON);
    for name in [
        "refusing",
        "failing",
        "redirecting",
        "resetting",
        "nowhere",
        "dead",
    ] {
        let failed = "pyroscope_remote_write_last_failure_timestamp_seconds";
        eventually(3 * SOON, "a failure", || {
            relay.metrics().value(failed, &[("target", name)]) > Some(0.0)
        });
    }

    let mut pages = String::new();
    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/-/healthy",
        "/-/ready",
        "/config",
        "/debug",
    ] {
        let answer = client::send(relay.admin(), &Request::get(path));
        pages += &answer.head.text();
        pages += &String::from_utf8_lossy(&answer.body.data);
    }
    assert_clean("the admin pages", &pages);
    let home = relay.home().join("pyrotee.yaml");
    let check = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(["check", "--log-level", "trace", "--print"])
        .arg(home)
        .env("E2E_TOKEN", "S3cr-token-by-variable")
        .env("E2E_HEADER", "S3cr-header-by-variable")
        .env("E2E_DNS", "S3cr-dns-password")
        .env("CREDENTIALS_DIRECTORY", targets.credentials.path())
        .output()
        .expect("the binary was built with this test");
    assert_eq!(check.status.code(), Some(0));
    assert_clean("the effective configuration", &text(&check.stdout));
    assert!(text(&check.stdout).contains("auth-token: \"<redacted>\""));

    own_credentials_only(&targets);
    assert!(
        targets.redirected.arrivals().is_empty(),
        "nobody follows a redirect"
    );
    let local = upstream.requests();
    assert_eq!(
        local[0].head.get("authorization").as_deref(),
        Some("Bearer S3cr-client-token"),
        "the local upstream does get what the client sent"
    );
    stop(relay);
}

/// The log is complete only when the process has ended.
fn stop(mut relay: Relay) {
    relay.sigterm();
    eventually(SOON, "the beginning of the end", || {
        relay.output().contains("stopping")
    });
    relay.sigterm();
    assert_eq!(relay.wait(SOON).expect("an end").code(), Some(0));
    assert!(relay.output().contains("TRACE") || relay.output().contains("DEBUG"));
    assert_clean("the log", &relay.output());
}

fn grpc(relay: &Relay) {
    let request = hyper::Request::post("http://relay.example/x.Y/Z")
        .header("content-type", "application/grpc")
        .header("authorization", "Bearer S3cr-client-grpc")
        .body(Full::new(Bytes::from_static(b"\0\0\0\0\0")))
        .expect("a request");
    // The upstream does not speak HTTP/2: the test needs the log lines, not the response.
    drop(h2::send(relay.addr(), request));
}

fn own_credentials_only(targets: &Targets) {
    let bearer = |token: &str| format!("Bearer {token}");
    let basic = |pair: &str| {
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    };
    let userinfo = basic("S3cr-userinfo-user:S3cr-userinfo-password");
    let expected = [
        (&targets.good, bearer("S3cr-token-of-good")),
        (&targets.refusing, bearer("S3cr-token-by-variable")),
        (
            &targets.failing,
            basic("S3cr-basic-user:S3cr-basic-password"),
        ),
        (&targets.redirecting, userinfo.clone()),
        (&targets.resetting, userinfo),
    ];
    for (target, authorization) in expected {
        for request in target.arrivals() {
            let head = &request.head;
            assert_eq!(head.get("authorization"), Some(authorization.clone()));
            assert!(
                !head.has("cookie") && !head.has("x-scope-orgid"),
                "{}",
                head.text()
            );
            for secret in THEIRS {
                assert!(!head.text().contains(secret), "{}", head.text());
            }
        }
    }
    let header = targets.refusing.arrivals()[0].head.get("x-key");
    assert_eq!(header.as_deref(), Some("S3cr-header-by-variable"));
}

#[test]
fn faults_of_a_configuration_show_no_secret() {
    let upstream = Upstream::ok();
    let token = "auth-token: \"S3cr-token-of-good\\n\"";
    let password = "basic-auth-password: S3cr-basic-password";
    let ended = Relay::builder()
        .upstream(&upstream)
        .env(
            "E2E_BAD",
            "http://S3cr-userinfo-user:S3cr-userinfo-password@ho st/?x",
        )
        .env(
            "PYROTEE__REMOTE_WRITE__TARGETS__G__AUTH_TOKEN",
            "S3cr-token-by-variable\u{1}",
        )
        .target_address(
            "a",
            "http://S3cr-userinfo-user:S3cr-userinfo-password@h/?q=1",
            &[],
        )
        .target_address("b", "${E2E_BAD}", &[])
        .target_address("c", "http://h:1", &[token, password])
        .target_address(
            "d",
            "http://h:1",
            &["headers: { X-Key: \"S3cr-header-of-good\\u0001\" }"],
        )
        .target_address(
            "e",
            "http://u:S3cr-dns-password@h:1",
            &["auth-token: S3cr-token-of-refusing"],
        )
        .target_address("f", "S3cr-userinfo-user:S3cr-userinfo-password@h", &[])
        .target_address("g", "http://h:1", &["basic-auth-user: S3cr-basic-user"])
        .refused();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert_clean("the faults", &ended.output);
    for target in ["a", "b", "c", "d", "e", "f", "g"] {
        let path = format!("remote-write.targets.{target}.");
        assert!(ended.output.contains(&path), "{path}\n{}", ended.output);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
