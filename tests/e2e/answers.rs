//! Responses of a target whose body matters besides the status, or whose body stalls.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Answer, Builder, Metrics, Relay, Request, Rig, SOON, Upstream, client, eventually,
    message::{export, one_series},
    poll,
};

const OTLP: &str = "application/x-protobuf";
const PAGE: &[u8] = b"<!doctype html><html><title>Sign in</title></html>";

/// A protobuf `ExportProfilesServiceResponse` with 3 rejected profiles.
const PARTIAL: &[u8] = b"\n\x10\x08\x03\x12\x0cseries limit";

fn of_central(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = [&[("target", "central")], labels].concat();
    metrics.sum(&format!("pyroscope_remote_write_{name}"), &labels)
}

fn otlp() -> Request {
    Request::post("/v1development/profiles", &export(&[("a", "1")])).field("Content-Type", OTLP)
}

fn page(relay: &Relay, path: &str) -> Value {
    client::send(relay.admin(), &Request::get(path)).json()
}

/// The status page's entry of the only target.
fn target(relay: &Relay) -> Value {
    page(relay, "/api/v1/status")["targets"][0].clone()
}

#[test]
fn a_body_that_stalls_changes_nothing() {
    for (head, start, outcome) in [
        ("200 OK", "", "ok"),
        ("200 OK", "{}", "ok"),
        ("400 Bad Request", "no such", "rejected"),
        (
            "422 Unprocessable Entity",
            "invalid_argument: x",
            "rejected",
        ),
    ] {
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 100\r\n\r\n{start}");
        // Upload timeouts below and above the 1 s that a response's body may take.
        for timeout in ["timeout: 500ms", "timeout: 3s"] {
            let options = [timeout, "queue-workers: 1"];
            let target = Upstream::answering(Answer::raw(answer.as_bytes()));
            let rig = Rig::with(Upstream::ok(), target, &options, |builder| builder);
            let begun = Instant::now();
            for number in 0..2 {
                rig.send(&Request::profile(&format!("app{number}"), b"profile"));
            }
            let ledger = rig.settled(2);
            let counted = match outcome {
                "ok" => ledger.sent,
                _ => ledger.dropped(outcome),
            };
            assert_eq!(counted.profiles, 2, "{head}: {ledger:?}");
            assert!(begun.elapsed() < Duration::from_secs(8), "{head}");
            assert_eq!(rig.target.arrivals().len(), 2, "{head}, once each");
            let metrics = rig.relay.metrics();
            assert_eq!(of_central(&metrics, "ambiguous_total", &[]), 0.0);
            let opened = of_central(&metrics, "connections_opened_total", &[]);
            assert_eq!(opened, 2.0, "{head}: such a connection is not used again");
        }
    }
}

#[test]
fn a_login_page_is_told_as_one_and_takes_no_profile() {
    let html = [("Content-Type", "text/html; charset=utf-8")];
    let target = Upstream::answering(Answer::with(200, &html, PAGE));
    let rig = Rig::with(Upstream::ok(), target, &["queue-size: 5000"], |builder| {
        builder
    });
    // Profiles that were in flight when the fifth failed say nothing, so those of a busy moment may not suffice: two that
    // come later must get the page as well.
    let mut sent = 0;
    eventually(SOON, "suspended", || {
        rig.send(&Request::profile(&format!("app{sent}"), b"profile"));
        sent += 1;
        self::target(&rig.relay)["state"] == "suspended"
    });
    let error = self::target(&rig.relay)["last_error"].clone();
    assert_eq!(error["outcome"], "broken");
    assert_eq!(error["status"], 200);
    let text = error["text"].as_str().expect("a text");
    assert!(text.contains("login page"), "{text}");
    assert!(text.contains("address and credentials"), "{text}");
    let ledger = rig.relay.wait_ledger("central", "it waits", |ledger| {
        ledger.pending.profiles == sent
    });
    assert_eq!(ledger.sent.profiles, 0, "{ledger:?}");
    let told = poll(SOON, || {
        let lines = rig.relay.logs();
        lines
            .iter()
            .any(|line| {
                line["said"]
                    .as_str()
                    .is_some_and(|said| said.contains("login page"))
            })
            .then_some(())
    });
    assert!(told.is_some(), "in the log");
}

#[test]
fn a_page_may_be_told_to_be_a_success_and_an_empty_one_is() {
    let html = [("Content-Type", "text/html")];
    for (body, option) in [
        (PAGE, "outcomes: { 200: ok }"),
        (PAGE, "outcomes: { 200 Sign in: ok }"),
        (&b""[..], "max-age: 55m"),
        (b"OK", "max-age: 55m"),
    ] {
        let target = Upstream::answering(Answer::with(200, &html, body));
        let rig = Rig::with(Upstream::ok(), target, &[option], |builder| builder);
        rig.send(&Request::profile("app", b"profile"));
        assert_eq!(rig.settled(1).sent.profiles, 1, "{option}");
    }
}

#[test]
fn an_export_that_is_taken_in_part_is_sent_counted_told_and_kept() {
    let answer = Answer::with(200, &[("Content-Type", OTLP)], PARTIAL);
    let target = Upstream::answering(answer);
    let keeping: fn(Builder) -> Builder =
        |builder| builder.yaml("dead-letters: { dir: \"{home}/letters\" }");
    let rig = Rig::with(Upstream::ok(), target, &[], keeping);
    for _ in 0..3 {
        rig.send(&otlp());
    }
    let ledger = rig.settled(3);
    assert_eq!(ledger.sent.profiles, 3, "{ledger:?}");
    let metrics = rig.relay.metrics();
    let counted = of_central(&metrics, "partially_rejected_profiles_total", &[]);
    assert_eq!(counted, 3.0);
    assert_eq!(
        of_central(&metrics, "requests_total", &[("outcome", "ok")]),
        3.0
    );
    let mut lines = rig.relay.logs();
    lines.retain(|line| line.get("rejected").is_some());
    assert_eq!(lines.len(), 1, "not each time: {lines:?}");
    assert_eq!(lines[0]["rejected"], 3);
    let told = lines[0]["answer"].as_str().expect("what it said");
    assert!(told.ends_with("series limit"), "{told}");
    eventually(SOON, "letters", || {
        let page = page(&rig.relay, "/api/v1/dead-letters");
        page["total"] == 3
            && page["letters"][0]["reason"] == "partially_rejected"
            && page["letters"][0]["answer"] == "partial success, 3 rejected: series limit"
    });
}

#[test]
fn retries_that_may_double_are_counted_by_cause() {
    let push = || {
        let body = one_series(&[("service_name", "app")], b"profile");
        Request::post("/push.v1.PusherService/Push", &body)
            .field("Content-Type", "application/proto")
    };
    let ingest = || Request::profile("app", b"profile");
    let gateway = Answer::status(504, b"<h1>504 Gateway Time-out</h1>");
    let limit = Answer::error(
        429,
        "resource_exhausted",
        "push rate limit (4.0 MiB) exceeded",
    );
    let none = "on-ambiguous: retry";
    for (request, answer, option, cause, ambiguous) in [
        (
            ingest(),
            gateway.clone(),
            none,
            Some("gateway_timeout"),
            0.0,
        ),
        (
            ingest(),
            gateway,
            "outcomes: { 504: ambiguous }",
            Some("ambiguous"),
            1.0,
        ),
        (ingest(), Answer::hang_up(), none, Some("ambiguous"), 1.0),
        (push(), limit.clone(), none, Some("partial_push"), 0.0),
        (ingest(), limit, none, None, 0.0),
        (ingest(), Answer::status(502, b""), none, None, 0.0),
    ] {
        let target = Upstream::script(move |arrival| match arrival.index {
            0 => answer.clone(),
            _ => Answer::ok(),
        });
        let rig = Rig::with(Upstream::ok(), target, &[option], |builder| builder);
        rig.send(&request);
        assert_eq!(rig.settled(1).sent.profiles, 1, "{cause:?}");
        let metrics = rig.relay.metrics();
        for known in ["ambiguous", "gateway_timeout", "partial_push"] {
            let counted = of_central(&metrics, "possibly_doubled_total", &[("cause", known)]);
            let expected = f64::from(u8::from(cause == Some(known)));
            assert_eq!(counted, expected, "{cause:?}: {known}");
        }
        assert_eq!(of_central(&metrics, "ambiguous_total", &[]), ambiguous);
    }
}

#[test]
fn a_gateway_timeout_may_be_given_up_as_ambiguous() {
    let target = Upstream::answering(Answer::status(504, b""));
    let options = ["outcomes: { 504: ambiguous }", "on-ambiguous: drop"];
    let rig = Rig::with(Upstream::ok(), target, &options, |builder| builder);
    rig.send(&Request::profile("app", b"profile"));
    assert_eq!(rig.settled(1).dropped("ambiguous").profiles, 1);
    assert_eq!(rig.target.arrivals().len(), 1);
}

#[test]
fn a_quota_that_is_used_up_is_told_with_its_pause() {
    let text = "limit of 1.0 GiB/day reached, next reset at 2999-01-01T00:00:00Z";
    let target = Upstream::answering(Answer::error(429, "resource_exhausted", text));
    let rig = Rig::with(Upstream::ok(), target, &[], |builder| builder);
    // The refusal of one profile alone could be that profile's fault.
    for name in ["app", "other"] {
        rig.send(&Request::profile(name, b"profile"));
    }
    eventually(SOON, "throttled", || {
        self::target(&rig.relay)["state"] == "throttled"
    });
    let entry = self::target(&rig.relay);
    let next = entry["next_try_seconds"].as_f64().expect("a time");
    assert!((250.0..=331.0).contains(&next), "{next}");
    let error = entry["last_error"]["text"].as_str().expect("a text");
    assert!(error.contains("next reset at 2999"), "{error}");
    let asked = of_central(&rig.relay.metrics(), "retry_after_seconds", &[]);
    assert_eq!(asked, 3_600.0);
}
