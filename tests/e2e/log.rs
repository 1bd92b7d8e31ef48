//! The log: the summary at the start, failures of the upstream, and dropped profiles.

use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Relay, Request, SOON, Upstream,
    client::{self, noise},
    eventually, poll,
    ports::Refusing,
};

/// The lines with this message.
fn lines(relay: &Relay, message: &str) -> Vec<Value> {
    let mut lines = relay.logs();
    lines.retain(|line| line["message"] == message);
    lines
}

/// The first line with this message, as soon as there is one.
fn line(relay: &Relay, message: &str) -> Value {
    let first = poll(SOON, || lines(relay, message).into_iter().next());
    first.unwrap_or_else(|| panic!("no line {message:?}:\n{}", relay.output()))
}

/// The upstream as the status shows it.
fn shown_upstream(relay: &Relay) -> Value {
    client::send(relay.admin(), &Request::get("/api/v1/status")).json()["upstream"].clone()
}

#[test]
fn a_refusing_upstream_is_one_warning_until_it_responds_again() {
    let port = Upstream::ok().stop();
    let url = format!("http://{port}");
    let relay = Relay::builder().upstream_address(&url).spawn();
    for _ in 0..3 {
        let answer = relay.send(&Request::get("/render"));
        assert_eq!(answer.status(), 502);
        let text = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(text.contains(&url), "{text}");
        assert!(text.contains("check that a server listens"), "{text}");
    }
    let warning = line(&relay, "upstream unreachable");
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["address"], *url);
    assert_eq!(warning["kind"], "connect");
    let error = warning["error"].as_str().unwrap();
    assert!(error.to_lowercase().contains("refused"), "{error}");
    let remedy = warning["remedy"].as_str().unwrap();
    assert!(remedy.contains("a server listens"), "{remedy}");

    let shown = shown_upstream(&relay);
    assert_eq!(shown["state"], "failing");
    for field in ["kind", "remedy"] {
        assert_eq!(shown["last_error"][field], warning[field]);
    }

    let _back = Upstream::at(&port.address().to_string(), |_| Answer::ok());
    assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    let again = line(&relay, "upstream responds again");
    assert_eq!(
        (&again["level"], &again["failed"]),
        (&"INFO".into(), &3.into())
    );
    assert_eq!(again["address"], *url);
    assert_eq!(lines(&relay, "upstream unreachable").len(), 1);
    let shown = shown_upstream(&relay);
    assert_eq!(
        (&shown["state"], &shown["address"]),
        (&"healthy".into(), &url.into())
    );
}

#[test]
fn each_fault_of_an_upstream_has_a_warning_with_its_remedy() {
    let hung = Upstream::answering(Answer::never());
    let broken = Upstream::answering(Answer::hang_up());
    for (address, status, message, kind, remedy) in [
        (
            hung.url(),
            504,
            "upstream did not respond in time",
            "timeout",
            "raise the timeout",
        ),
        (
            broken.url(),
            502,
            "upstream broke the connection off",
            "reset",
            "scheme and port",
        ),
        (
            "http://no-such-host.invalid:4042".to_owned(),
            502,
            "upstream unreachable",
            "dns",
            "DNS",
        ),
    ] {
        let relay = Relay::builder()
            .upstream_address(&address)
            .upstream_option("timeout: 1s")
            .spawn();
        let answer = relay.send(&Request::get("/render"));
        assert_eq!(answer.status(), status);
        let text = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(text.contains(&address) && text.contains(remedy), "{text}");
        let line = line(&relay, message);
        assert_eq!(
            (&line["level"], &line["kind"]),
            (&"WARN".into(), &kind.into())
        );
        assert!(line["remedy"].as_str().unwrap().contains(remedy), "{line}");
    }
}

#[test]
fn a_call_of_grpc_without_an_upstream_is_logged_as_any_other_request() {
    let refusing = Refusing::new();
    let relay = Relay::builder().upstream_address(&refusing.url()).spawn();
    let call = Request::post("/a.B/C", b"").field("Content-Type", "application/grpc");
    assert_eq!(relay.send(&call).status(), 502);
    assert_eq!(
        line(&relay, "upstream unreachable")["address"],
        refusing.url()
    );
}

#[test]
fn a_reached_limit_of_requests_to_the_upstream_is_a_warning() {
    let upstream = Upstream::answering(Answer::never());
    let relay = Relay::builder()
        .upstream(&upstream)
        .upstream_option("max-connections: 1")
        .upstream_option("timeout: 1s")
        .spawn();
    let answers: Vec<_> = thread::scope(|scope| {
        let send = || relay.send(&Request::get("/render"));
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers.collect()
    });
    let refused = answers.iter().find(|answer| answer.status() == 503);
    let text = refused.unwrap().json()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected = "raise upstream.max-connections";
    assert!(
        text.contains(&upstream.url()) && text.contains(expected),
        "{text}"
    );
    let line = line(&relay, "too many requests to the upstream at once");
    assert_eq!(line["limit"], "connections");
    assert!(
        line["remedy"].as_str().unwrap().contains(expected),
        "{line}"
    );
}

#[test]
fn dropped_profiles_are_logged_by_target_and_reason_and_all_of_them_until_the_end() {
    let profile = || Request::profile("app", b"profile");
    let full = ["queue-size: 1", "timeout: 5m"];
    let tight = ["tags: { env: x }", "queue-bytes: 8MiB", "timeout: 5m"];
    let grace = "shutdown: { grace: 0s }";
    let (hung, refusing) = (Upstream::answering(Answer::never()), Refusing::new());
    let small_memory = format!("memory-limit: 8MiB\n{grace}");
    let small_body = format!("tee: {{ max-body: 1KiB }}\n{grace}");
    for (reason, remedy, address, options, yaml, requests, drops) in [
        (
            "queue_full",
            "queue-size",
            hung.url(),
            &full[..],
            grace,
            vec![profile(); 4],
            3,
        ),
        (
            "expired",
            "max-age",
            refusing.url(),
            &["max-age: 1s"],
            grace,
            vec![profile(); 3],
            3,
        ),
        (
            "too_large",
            "tee.max-body",
            hung.url(),
            &[],
            &*small_body,
            vec![Request::profile("app", &noise(2_000)); 2],
            2,
        ),
        (
            "budget",
            "memory-limit",
            hung.url(),
            &tight,
            &*small_memory,
            vec![
                Request::profile("app", &vec![7; (5 << 20) + (400 << 10)]),
                Request::profile("app", &vec![7; 800 << 10]),
            ],
            1,
        ),
        (
            "invalid_name",
            "name",
            hung.url(),
            &["tags: { env: x }"],
            grace,
            vec![Request::post("/ingest?name=&from=1&until=2", b"profile")],
            1,
        ),
    ] {
        let upstream = Upstream::ok();
        let mut relay = Relay::builder()
            .upstream(&upstream)
            .target_address("central", &address, options)
            .yaml(yaml)
            .spawn();
        for request in &requests {
            relay.send(request);
        }
        let first = line(&relay, "dropped profiles");
        assert_eq!(first["level"], "WARN", "{first}");
        assert_eq!(first["target"], "central", "{first}");
        assert_eq!(first["reason"], reason, "{first}");
        assert!(
            first["remedy"].as_str().unwrap().contains(remedy),
            "{first}"
        );
        relay.wait_ledger("central", reason, |ledger| {
            ledger.dropped(reason).profiles == drops
        });
        let bytes = relay.ledger("central").dropped(reason).bytes;
        relay.sigterm();
        relay.wait(SOON).expect("the grace is over");
        let told = lines(&relay, "dropped profiles");
        let sum = |field: &str| {
            told.iter()
                .map(|line| line[field].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!((sum("profiles"), sum("bytes")), (drops, bytes), "{told:?}");
        assert!(told.iter().all(|line| line["reason"] == reason), "{told:?}");
    }
}

#[test]
fn a_purge_is_no_warning() {
    let refusing = Refusing::new();
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &refusing.url(), &[])
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    let purge = Request::new("POST", "/api/v1/purge?target=central");
    eventually(SOON, "the profile is purged", || {
        client::send(relay.admin(), &purge);
        relay.ledger("central").dropped("admin").profiles == 1
    });
    let line = line(&relay, "dropped profiles");
    assert_eq!(
        (&line["level"], &line["reason"]),
        (&"INFO".into(), &"admin".into())
    );
}

fn summarised(builder: Builder) -> Relay {
    let relay = builder.spawn();
    line(&relay, "limits");
    relay
}

#[test]
fn a_start_is_summed_up_without_secrets() {
    let address = "http://user:S3cret@10.255.255.1:4040/prefix";
    let relay = summarised(
        Relay::builder()
            .upstream_address("http://127.0.0.1:4042")
            .target_address("bearer", "http://10.255.255.1", &["auth-token: S3cret"])
            .target_address(
                "basic",
                address,
                &["tenant-id: team", "tags: { a: b, c: d }"],
            )
            .target_address(
                "headers",
                "http://10.255.255.1",
                &["headers: { X-Key: S3cret }"],
            )
            .target_address("none", "http://10.255.255.1", &[])
            .yaml("spool: { dir: \"{home}/spool\", max-bytes: 64MiB, fsync: never }")
            .yaml("memory-limit: 64MiB"),
    );
    assert!(!relay.output().contains("S3cret"));
    let upstream = line(&relay, "forwarding requests to the upstream");
    assert_eq!(upstream["upstream"], "http://127.0.0.1:4042");
    let targets = lines(&relay, "sending profiles to the target");
    let kinds: Vec<_> = targets
        .iter()
        .map(|line| line["credentials"].clone())
        .collect();
    assert_eq!(kinds, ["bearer", "basic", "headers", "none"]);
    let basic = &targets[1];
    assert_eq!(basic["address"], "http://10.255.255.1:4040/prefix");
    assert_eq!(
        (&basic["tenant"], &basic["tags"]),
        (&"team".into(), &2.into())
    );
    let spool = line(&relay, "queueing profiles in the spool");
    assert_eq!(
        (&spool["max_bytes"], &spool["fsync"]),
        (&"64MiB".into(), &"never".into())
    );
    let letters = line(&relay, "keeping rejected profiles as dead letters");
    assert!(
        letters["dir"]
            .as_str()
            .unwrap()
            .ends_with("spool/dead-letters")
    );
    let limits = line(&relay, "limits");
    assert_eq!(limits["memory_limit"], "64MiB");
    assert!(limits["client_connections"].as_u64().unwrap() > 0);
}

#[test]
fn a_start_with_many_targets_has_twenty_lines_and_a_count() {
    let names = (0..50).map(|number| format!("target-{number}"));
    let builder = names.fold(Relay::builder(), |builder, name| {
        builder.target_address(&name, "http://10.255.255.1", &[])
    });
    let relay = summarised(builder.remote_write("disable-local-writes: true"));
    assert_eq!(lines(&relay, "sending profiles to the target").len(), 20);
    assert_eq!(
        line(&relay, "sending profiles to further targets")["targets"],
        30
    );
    line(
        &relay,
        "local writes are disabled, and there is no upstream",
    );
    line(&relay, "queueing profiles in memory");
}

#[test]
fn a_removed_target_with_pending_profiles_is_named_at_the_start() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::ok());
    let refusing = Refusing::new();
    let spool = format!("spool: {{ dir: \"{}/spool\" }}", home.path().display());
    let start = |name: &str| {
        let builder = Relay::builder().upstream(&upstream).yaml(&spool);
        let builder = builder.yaml("shutdown: { grace: 0s }");
        builder.target_address(name, &refusing.url(), &[]).spawn()
    };
    let mut relay = start("before");
    relay.send(&Request::profile("app", b"profile"));
    relay.wait_ledger("before", "pending", |ledger| ledger.pending.profiles == 1);
    relay.signal(Signal::TERM);
    relay.wait(SOON).expect("the grace is over");
    let relay = start("after");
    let line = line(
        &relay,
        "target is not configured: its pending profiles are kept for a day",
    );
    assert_eq!(
        (&line["target"], &line["pending"]),
        (&"before".into(), &1.into())
    );
    assert!(
        line["remedy"]
            .as_str()
            .unwrap()
            .contains("pyrotee spool replay")
    );
}
