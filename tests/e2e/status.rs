//! The state of the targets, as JSON and as a table.

use std::{
    fs::File,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Relay, Request, SOON, Upstream,
    client::{self, Client},
    command::{Done, pyrotee, run},
    eventually, poll,
    ports::Refusing,
};

const STATES: [&str; 4] = ["healthy", "throttled", "open", "suspended"];

/// A relay with a target that accepts everything and a target at whose address nothing listens, after one profile of
/// seven bytes.
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

    fn command(&self, more: &[&str]) -> Done {
        command(&self.relay.admin().to_string(), more)
    }
}

fn command(admin: &str, more: &[&str]) -> Done {
    pyrotee(&[&["status", "--admin", admin], more].concat())
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
    assert_eq!(dead["pending"], json!({ "profiles": 1, "bytes": 7 }));
    assert_eq!(dead["dropped"], json!({}));
}

#[test]
fn what_happened_last_is_told() {
    let half = Half::new();
    let failed = poll(SOON, || {
        let page = half.page();
        (page["targets"][1]["attempts"].as_u64() >= Some(1)).then_some(page)
    });
    let page = failed.expect("a failed try");
    let (good, dead) = (&page["targets"][0], &page["targets"][1]);
    assert_eq!(
        (&good["state"], &good["attempts"]),
        (&json!("healthy"), &json!(1))
    );
    assert!(good["last_success"].is_string(), "{good}");
    assert_eq!(good["last_error"], Value::Null);
    assert_eq!(dead["state"], "open");
    assert_eq!(dead["last_success"], Value::Null);
    let error = &dead["last_error"];
    assert_eq!(
        (&error["outcome"], &error["status"]),
        (&json!("transient"), &Value::Null)
    );
    assert!(
        error["text"].as_str().unwrap().contains("refused"),
        "{error}"
    );
    let table = half.command(&[]).out;
    assert!(
        table.contains("open") && table.contains("refused"),
        "{table}"
    );
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
fn the_command_prints_a_line_for_each_target() {
    let half = Half::new();
    let done = half.command(&[]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let table = done.out;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TARGET "), "{table}");
    assert!(lines[1].starts_with("good "), "{table}");
    assert!(lines[2].starts_with("dead "), "{table}");
    assert!(
        !table.contains('\u{1b}'),
        "no terminal, no escapes: {table:?}"
    );
    // Errors and remedies are whole, in lines below the rows.
    let mut rows = lines.iter().filter(|line| !line.starts_with(' '));
    assert!(rows.all(|line| line.chars().count() <= 120), "{table}");
}

#[test]
fn the_command_prints_the_json_as_it_came() {
    let half = Half::new();
    let done = half.command(&["--json"]);
    assert_eq!(done.code, Some(0));
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    let page = half.page();
    assert_eq!(printed["started"], page["started"]);
    // Nothing changes for this target; the other target is tried again and again.
    assert_eq!(printed["targets"][0], page["targets"][0]);
    assert_eq!(printed["targets"][1]["name"], "dead");
}

#[test]
fn the_address_may_come_from_the_environment() {
    let half = Half::new();
    let admin = format!(":{}", half.relay.admin().port());
    let done = run("", &["status"], &[("PYROTEE_ADMIN", &admin)]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("\ngood "));
}

#[test]
fn an_address_where_nobody_listens_says_what_to_look_at() {
    let nobody = Refusing::new();
    let done = command(&nobody.url(), &["--watch"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""));
    let error = done.err;
    for word in [&nobody.url(), "refused", "is the relay running", "--admin"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn the_listener_of_the_clients_is_told_from_that_of_the_admin() {
    let half = Half::new();
    let done = command(&half.relay.addr().to_string(), &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("--admin"), "{done:?}");
}

/// A running `pyrotee status --watch`; killed when dropped.
struct Watching {
    child: Child,
    home: TempDir,
}

impl Watching {
    fn start(admin: &str, interval: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let out = File::create(home.path().join("shown")).expect("it can be written to");
        let child = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
            .args(["status", "--admin", admin, "--watch", interval])
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .expect("the binary was built with this test");
        Self { child, home }
    }

    fn shown(&self) -> String {
        std::fs::read_to_string(self.home.path().join("shown")).expect("it is there")
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is a child of this test")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_watch_shows_one_table_after_the_other_and_ends_well() {
    let half = Half::new();
    let mut watching = Watching::start(&half.relay.admin().to_string(), "0.1");
    eventually(SOON, "three tables", || {
        watching.shown().matches("\ngood ").count() >= 3
    });
    kill_process(Pid::from_child(&watching.child), Signal::INT)
        .expect("it runs, and is a child of this test");
    let ended = poll(SOON, || watching.ended());
    assert_eq!(ended.expect("it ends at once").code(), Some(0));
}

#[test]
fn a_watch_keeps_the_last_table_while_the_relay_restarts() {
    let (upstream, target, port) = (Upstream::ok(), Upstream::ok(), Refusing::new());
    let builder = Relay::builder()
        .upstream(&upstream)
        .target("good", &target, &[])
        .env("PYROTEE__ADMIN", &port.to_string());
    let mut relay = builder.clone().spawn();
    let mut watching = Watching::start(&port.to_string(), "100ms");
    eventually(SOON, "a table", || watching.shown().contains("\ngood "));
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    let notice = "no response since ";
    eventually(SOON, "that it has gone", || {
        watching.shown().contains(notice)
    });
    eventually(SOON, "when the table was made", || {
        let shown = watching.shown();
        let mut notices = shown.lines().filter(|line| line.starts_with(notice));
        notices.any(|line| {
            let words = ["is the relay running", "; the table is of "];
            words.iter().all(|word| line.contains(word)) && line.ends_with(" UTC")
        })
    });
    eventually(SOON, "the table below it", || {
        let shown = watching.shown();
        shown.rsplit_once(notice).unwrap().1.contains("\ngood ")
    });
    assert_eq!(watching.ended(), None);

    let _relay = builder.spawn();
    eventually(SOON, "a new table", || {
        let shown = watching.shown();
        // Each notice has one table below it.
        let (_, since) = shown.rsplit_once(notice).unwrap();
        since.matches("\ngood ").count() > 1
    });
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
    let table = half.command(&[]).out;
    let json = half.command(&["--json"]).out;
    for shown in [page, table, json] {
        assert!(shown.contains("dead"), "{shown}");
        assert!(!shown.contains("S3cr"), "{shown}");
    }
}
