//! Pull mode with scrape targets that are slow, hostile or broken: each fault has its reason, and nothing of it is sent.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};

use crate::support::{
    Answer, Arrival, Builder, LiveFile, Pulled, Relay, SOON, Upstream, eventually, ports::Refusing,
};

/// A profile of goroutines of a program in Go, behind the two bytes that the fuzz target reads first.
const CORPUS: &[u8] = include_bytes!("../fuzz/corpus/pprof/go-goroutine");

const MIB: usize = 1024 * 1024;

/// The profile with a mark, which is a field that no reader knows.
fn profile(mark: u8) -> Vec<u8> {
    [&CORPUS[2..], &[0xa0, 0x06, mark]].concat()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory accepts all");
    encoder.finish().expect("memory accepts all")
}

fn coded(content: &[u8]) -> Answer {
    Answer::with(200, &[("Content-Encoding", "gzip")], content)
}

fn redirect(location: &str) -> Answer {
    Answer::with(302, &[("Location", location)], b"")
}

/// An application that responds to the path `/NAME` in its own way.
fn application(answer: impl Fn(&str, &Arrival<'_>) -> Answer + Send + Sync + 'static) -> Upstream {
    Upstream::script(move |arrival| {
        let path = arrival.head.path();
        answer(path.trim_start_matches('/'), arrival)
    })
}

/// A job that scrapes the path `/NAME` each second, as the application `app.NAME`.
fn job(name: &str, address: &str, more: &str) -> String {
    format!(
        "  - job-name: {name}
    scrape-interval: 1s
    enabled-profiles: [own]
    profiles: {{ own: {{ path: /{name}, sample-types: {{ goroutine: {{ units: goroutines }} }} }} }}
    static-configs: [{{ application: app.{name}, targets: [\"{address}\"] }}]
{more}"
    )
}

fn relay(upstream: &Upstream, jobs: &[String]) -> Builder {
    let jobs = format!("scrape-configs:\n{}", jobs.concat());
    let limits = "scrape: { max-body: 1MiB, max-unpacked: 1MiB, max-concurrent: 4 }";
    Relay::builder().upstream(upstream).yaml(limits).yaml(&jobs)
}

/// Waits until the upstream has a profile of an application, and returns the first one.
fn first(upstream: &Upstream, name: &str) -> Pulled {
    let app = format!("app.{name}");
    let find = || {
        let all = Pulled::all(&upstream.requests());
        all.into_iter().find(|pulled| pulled.key.app == app)
    };
    eventually(SOON, &app, || find().is_some());
    find().expect("it has just been there")
}

#[test]
fn each_kind_of_compression_arrives_as_the_same_profile() {
    let application = application(|name, _| match name {
        "plain" => Answer::status(200, &profile(0)),
        "inside" => Answer::status(200, &gzip(&profile(1))),
        "outside" => coded(&gzip(&profile(2))),
        _ => coded(&gzip(&gzip(&profile(3)))),
    });
    let upstream = Upstream::ok();
    let address = application.address().to_string();
    let names = ["plain", "inside", "outside", "both"];
    let jobs = names.map(|name| job(name, &address, ""));
    let _relay = relay(&upstream, &jobs).spawn();
    for (mark, name) in (0..).zip(names) {
        let pulled = first(&upstream, name);
        assert_eq!(pulled.unpacked(), profile(mark), "{name}");
        assert_eq!(pulled.types, ["goroutine"]);
        if name != "plain" {
            let times = pulled.profile.windows(2).filter(|it| *it == [0x1f, 0x8b]);
            assert_eq!(times.count(), 1, "{name} is compressed once");
        }
    }
    assert_eq!(first(&upstream, "inside").profile, gzip(&profile(1)));
}

/// How applications fail: a name, the reason in the metrics, and a part of the error.
const FAULTS: [(&str, &str, &str); 16] = [
    ("html", "not_pprof", "it is an HTML page"),
    ("json", "not_pprof", "it is JSON"),
    ("text", "not_pprof", "it is text"),
    ("empty", "not_pprof", "it is empty"),
    ("cut", "not_pprof", "damaged or cut off"),
    ("brotli", "not_pprof", "Content-Encoding is not known"),
    ("bomb", "too_large", "raise scrape.max-unpacked"),
    ("nested_bomb", "too_large", "raise scrape.max-unpacked"),
    ("long", "too_large", "raise scrape.max-body"),
    ("endless", "too_large", "raise scrape.max-body"),
    ("busy", "status", "cpu profiling already in use"),
    ("absent", "status", "check the path"),
    ("elsewhere", "status", "it leads to another host"),
    ("silent", "timeout", "no response within 1s"),
    ("slow", "timeout", "the body did not end within 1s"),
    ("broken", "connect", "the connection broke within the body"),
];

fn faulty(name: &str) -> Answer {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let begun = Answer::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\x0a\x04");
    match name {
        "html" => Answer::status(200, b"<!DOCTYPE html><title>Log in</title>"),
        "json" => Answer::status(200, b"{\"error\":\"no\"}"),
        "text" => Answer::status(200, b"heap profile: 1: 2 [3: 4] @ heap/1"),
        "empty" => Answer::ok(),
        "cut" => Answer::status(200, &gzip(&profile(0))[..100]),
        "brotli" => Answer::with(200, &[("Content-Encoding", "br")], b"abc"),
        "bomb" => Answer::status(200, &gzip(&vec![0; 64 * MIB])),
        "nested_bomb" => coded(&gzip(&gzip(&vec![0; 64 * MIB]))),
        "long" => Answer::status(200, &vec![0; 2 * MIB]),
        "endless" => (0..64).fold(Answer::raw(chunked.as_bytes()), |answer, _| {
            let chunk = [b"10000\r\n", &[0; 0x10000][..], b"\r\n"].concat();
            answer.and_then(Duration::ZERO, &chunk)
        }),
        "busy" => Answer::status(
            500,
            b"Could not enable CPU profiling: cpu profiling already in use\n",
        ),
        "absent" => Answer::status(404, b"404 page not found\n"),
        "elsewhere" => redirect("http://localhost:1/debug/pprof/heap"),
        "silent" => Answer::never(),
        "slow" => begun.and_then(Duration::from_secs(30), b"x"),
        "broken" => begun.close(),
        _ => panic!("nobody asks for {name}"),
    }
}

#[test]
fn each_fault_has_its_reason_and_nothing_of_it_is_sent() {
    let application = application(|name, _| match name {
        "good" => Answer::status(200, &profile(0)),
        "moved" => redirect("/good"),
        name => faulty(name),
    });
    let refusing = Refusing::new();
    let upstream = Upstream::ok();
    let address = application.address().to_string();
    let mut jobs: Vec<_> = FAULTS
        .iter()
        .map(|(name, reason, _)| {
            let more = match *reason {
                "timeout" => "    scrape-timeout: 1s\n",
                _ => "",
            };
            job(name, &address, more)
        })
        .collect();
    jobs.extend(["good", "moved"].map(|name| job(name, &address, "")));
    jobs.push(job("gone", &refusing.to_string(), ""));
    let relay = relay(&upstream, &jobs).spawn();
    let gone = ("gone", "connect", "");
    for (name, reason, text) in FAULTS.into_iter().chain([gone]) {
        let field = |line: &serde_json::Value, name: &str| {
            let value = line.get(name).or_else(|| line.get("fields")?.get(name));
            value
                .and_then(|it| it.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let find = || {
            let mut logs = relay.logs().into_iter();
            logs.find(|line| {
                field(line, "message") == "scraped no profile" && field(line, "job") == name
            })
        };
        eventually(SOON, &format!("a failure of {name}"), || find().is_some());
        let line = find().expect("it has just been there");
        assert_eq!(field(&line, "reason"), reason, "{name}: {line}");
        assert!(field(&line, "error").contains(text), "{name}: {line}");
        let labels = [("scrape_job", name), ("reason", reason)];
        let failures = "pyroscope_relay_scrape_failures_total";
        let count = relay.metrics().value(failures, &labels);
        assert!(count >= Some(1.0), "{name}: {count:?}");
    }
    first(&upstream, "good");
    first(&upstream, "moved");
    let sent = Pulled::all(&upstream.requests());
    let of_faults = sent
        .iter()
        .find(|it| !["app.good", "app.moved"].contains(&it.key.app.as_str()));
    assert_eq!(of_faults, None);
}

#[test]
fn applications_that_hang_delay_no_other() {
    let application = application(|name, _| match name {
        "good" => Answer::status(200, &profile(0)),
        _ => Answer::never(),
    });
    let upstream = Upstream::ok();
    let address = application.address().to_string();
    let mut jobs: Vec<_> = (0..20)
        .map(|number| job(&format!("hanging_{number}"), &address, ""))
        .collect();
    jobs.push(job("good", &address, ""));
    let _relay = relay(&upstream, &jobs).spawn();
    // More than `max-concurrent` hang from the first second on, for 15 s each.
    upstream.wait_for(5, SOON);
    let mut from: Vec<_> = Pulled::all(&upstream.requests())
        .iter()
        .map(|it| it.from)
        .collect();
    from.dedup();
    assert!(from.len() >= 5, "one scrape each second: {from:?}");
}

#[test]
fn a_rotated_token_is_read_again_after_a_401() {
    let application =
        application(
            |_, arrival| match arrival.head.get("authorization").as_deref() {
                Some("Bearer new") => Answer::status(200, &profile(0)),
                _ => Answer::status(401, b"the token is old\n"),
            },
        );
    let upstream = Upstream::ok();
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let token = LiveFile::new(&home.path().join("token"));
    token.rename_over("old");
    let path = token.path().display();
    let address = application.address().to_string();
    let more = format!("    bearer-token-file: {path}\n");
    let relay = relay(&upstream, &[job("app", &address, &more)])
        .yaml("reload: { interval: 1s }")
        .spawn();
    let labels = [("scrape_job", "app"), ("reason", "status")];
    eventually(SOON, "a 401", || {
        let failures = "pyroscope_relay_scrape_failures_total";
        relay.metrics().value(failures, &labels) >= Some(1.0)
    });
    assert!(upstream.requests().is_empty());
    token.rename_over("new");
    first(&upstream, "app");
    assert!(!relay.output().contains("Bearer"), "{}", relay.output());
}

#[test]
fn an_upstream_that_is_away_keeps_no_profile_from_a_target() {
    let application = application(|_, _| Answer::status(200, &profile(0)));
    let (refusing, target) = (Refusing::new(), Upstream::ok());
    let jobs = job("app", &application.address().to_string(), "");
    let relay = Relay::builder()
        .upstream_address(&refusing.url())
        .target("central", &target, &["tags: { cluster: c1 }"])
        .yaml(&format!("scrape-configs:\n{jobs}"))
        .spawn();
    let pulled = first(&target, "app");
    assert_eq!(pulled.unpacked(), profile(0));
    assert_eq!(pulled.key.tags["cluster"], "c1");
    let labels = [("scrape_job", "app"), ("reason", "refused")];
    eventually(SOON, "a refusal", || {
        let failures = "pyroscope_relay_scrape_failures_total";
        relay.metrics().value(failures, &labels) >= Some(1.0)
    });
    relay.wait_ledger("central", "something sent", |it| it.sent.profiles > 0);
}
