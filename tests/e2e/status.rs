//! How the targets are, as JSON.

use serde_json::{Value, json};

use crate::support::{
    Relay, Request, SOON, Upstream,
    client::{self, Client},
    eventually,
    ports::Refusing,
};

const STATES: [&str; 4] = ["healthy", "throttled", "open", "suspended"];

/// A relay with a target that takes everything and one that nobody listens for, after one profile
/// of seven bytes.
struct Half {
    relay: Relay,
    _upstream: Upstream,
    good: Upstream,
    dead: Refusing,
}

impl Half {
    fn new() -> Self {
        let (upstream, good, dead) = (Upstream::ok(), Upstream::ok(), Refusing::new());
        let address = dead.url().replace("//", "//S3cr-user:S3cr-password@") + "/base";
        let relay = Relay::builder()
            .upstream(&upstream)
            .target("good", &good, &["auth-token: S3cr-token"])
            .target_address("dead", &address, &[])
            .spawn();
        let answer = relay.send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
        relay.wait_ledger("good", "sent", |ledger| ledger.sent.profiles == 1);
        Self {
            relay,
            _upstream: upstream,
            good,
            dead,
        }
    }

    fn page(&self) -> Value {
        let answer = client::send(self.relay.admin(), &Request::get("/api/v1/status"));
        assert_eq!(answer.status(), 200);
        let kind = answer.head.get("content-type");
        assert_eq!(kind.as_deref(), Some("application/json"));
        answer.json()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a command writes UTF-8")
}

#[test]
fn each_target_is_shown_with_its_account() {
    let half = Half::new();
    let page = half.page();
    assert_eq!(page["version"], env!("CARGO_PKG_VERSION"));
    let [started, now] = ["started", "time"].map(|field| page[field].as_str().unwrap());
    assert!(started <= now && now.ends_with('Z'), "{page}");

    let targets = page["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    let (good, dead) = (&targets[0], &targets[1]);
    assert_eq!(
        (&good["name"], &dead["name"]),
        (&json!("good"), &json!("dead"))
    );
    assert_eq!(good["address"], half.good.url());
    assert_eq!(dead["address"], half.dead.url() + "/base");
    for target in [good, dead] {
        let state = target["state"].as_str().unwrap();
        assert!(STATES.contains(&state), "{state}");
        assert_eq!(target["accepted"], json!({ "profiles": 1, "bytes": 7 }));
        assert!(target["uploads"]["most"].as_u64() >= Some(1), "{target}");
    }
    assert_eq!(good["sent"], json!({ "profiles": 1, "bytes": 7 }));
    assert_eq!(good["pending"], json!({ "profiles": 0, "bytes": 0 }));
    assert_eq!(good["dropped"], json!({}));
    assert_eq!(good["oldest_pending_age_seconds"], Value::Null);
    assert_eq!(dead["sent"], json!({ "profiles": 0, "bytes": 0 }));
    // It waits for its next try, or one try was all it got.
    let dropped = dead["dropped"].as_object().unwrap().values();
    let dropped: u64 = dropped.map(|it| it["profiles"].as_u64().unwrap()).sum();
    assert_eq!(dead["pending"]["profiles"].as_u64().unwrap() + dropped, 1);
}

#[test]
fn what_is_pending_has_an_age() {
    let (upstream, target) = (
        Upstream::ok(),
        Upstream::answering(crate::support::Answer::never()),
    );
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("slow", &target, &[])
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    target.wait_for(1, SOON);
    let page = client::send(relay.admin(), &Request::get("/api/v1/status")).json();
    let slow = &page["targets"][0];
    assert_eq!(slow["pending"], json!({ "profiles": 1, "bytes": 7 }));
    let age = slow["oldest_pending_age_seconds"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");
}

#[test]
fn it_is_for_reading_only() {
    let half = Half::new();
    let mut client = Client::connect(half.relay.admin());
    let head = client.exchange(&Request::new("HEAD", "/api/v1/status"));
    assert_eq!((head.status(), head.body.data.len()), (200, 0));
    let post = client::send(half.relay.admin(), &Request::post("/api/v1/status", b"{}"));
    assert_eq!(post.status(), 405);
}

#[test]
fn a_scrape_tells_the_same_state() {
    let half = Half::new();
    let metrics = half.relay.metrics();
    for target in ["good", "dead"] {
        let value = |name: &str, label: &str, of: &str| {
            let name = format!("pyroscope_remote_write_{name}");
            metrics.value(&name, &[("target", target), (label, of)])
        };
        let states = STATES.map(|state| value("target_state", "state", state).unwrap());
        assert_eq!(states.iter().sum::<f64>(), 1.0, "{states:?}");
        for surface in ["ingest", "push", "otlp"] {
            let suspended = value("surface_suspended", "surface", surface);
            assert_eq!(suspended, Some(0.0), "{surface}");
        }
        let limit = value("concurrency_limit", "target", target).unwrap();
        assert!(limit >= 1.0, "{limit}");
        assert!(value("attempts_total", "target", target).is_some());
    }
}

#[test]
fn nothing_of_it_tells_a_secret() {
    let half = Half::new();
    eventually(SOON, "a failure", || {
        let failures = "pyroscope_remote_write_request_errors_total";
        half.relay.metrics().sum(failures, &[("target", "dead")]) >= 1.0
    });
    let answer = client::send(half.relay.admin(), &Request::get("/api/v1/status"));
    let page = answer.head.text() + &text(&answer.body.data);
    assert!(page.contains("dead"), "{page}");
    assert!(!page.contains("S3cr"), "{page}");
}
