//! Secrets in files: rotated, damaged and swapped in pairs while profiles flow.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;

use super::{by_itself, let_it_look, on_request, send, upload};
use crate::support::{
    Answer, Builder, LiveFile, Mount, Relay, Request, SOON, Upstream, client, eventually, upstream,
};

/// Time in which an upload that had begun with the old token may still arrive.
const MOMENT: Duration = Duration::from_millis(500);

/// A target that accepts one value of `Authorization`, and answers every other one with 401.
struct Guarded {
    target: Upstream,
    accepted: Arc<Mutex<String>>,
}

impl Guarded {
    fn new(accepted: &str) -> Self {
        let accepted = Arc::new(Mutex::new(accepted.to_owned()));
        let now = Arc::clone(&accepted);
        let target = Upstream::script(move |arrival| {
            let is_accepted =
                arrival.head.get("authorization") == Some(now.lock().unwrap().clone());
            match is_accepted {
                true => Answer::ok(),
                false => Answer::error(401, "unauthenticated", "invalid token"),
            }
        });
        Self { target, accepted }
    }

    fn accept(&self, authorization: &str) {
        *self.accepted.lock().unwrap() = authorization.to_owned();
    }

    /// Each `Authorization` that was sent, in order of arrival.
    fn sent(&self) -> Vec<String> {
        let arrivals = self.target.arrivals().into_iter();
        let sent = arrivals.map(|it| it.head.get("authorization").unwrap_or_default());
        sent.collect()
    }
}

/// A relay with a target whose token is in a file.
struct Rotation {
    relay: Relay,
    guarded: Guarded,
    token: LiveFile,
    base: Builder,
    _home: TempDir,
}

impl Rotation {
    fn new(base: Builder) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let token = LiveFile::new(&home.path().join("token"));
        fs::write(token.path(), "S3cr-one\n").expect("a file can be written");
        let guarded = Guarded::new("Bearer S3cr-one");
        let base = base.target(
            "central",
            &guarded.target,
            &[&option(&token), "queue-workers: 1"],
        );
        let relay = base.clone().spawn();
        upload(&relay, &guarded.target, "first");
        Self {
            relay,
            guarded,
            token,
            base,
            _home: home,
        }
    }

    /// Rotates the token: the target refuses the old one at once.
    fn rotate(&self, token: &str) {
        self.guarded.accept(&format!("Bearer {token}"));
        self.token.rename_over(&format!("{token}\n"));
    }

    /// Puts a configuration with faults in the file.
    fn break_configuration(&self) {
        self.relay
            .rewrite(&self.base.clone().yaml("no-such-key: 1"));
    }

    /// Asserts that all profiles were delivered and that no surface was suspended.
    fn nothing_lost(&self, sent: u64) {
        let ledger = self
            .relay
            .wait_ledger("central", "all sent", |it| it.sent.profiles == sent);
        assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
        assert!(!self.is_suspended());
    }

    fn is_suspended(&self) -> bool {
        let suspended = "pyroscope_remote_write_surface_suspended";
        self.relay
            .metrics()
            .sum(suspended, &[("target", "central")])
            > 0.0
    }

    fn stale_files(&self) -> f64 {
        self.relay.config_metric("stale_files")
    }
}

fn option(token: &LiveFile) -> String {
    format!("auth-token: \"${{file:{}}}\"", token.path().display())
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app{number}")).collect()
}

fn send_all(relay: &Relay, names: &[String]) {
    send(relay, &names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_401_to_the_old_token_reads_its_file_again() {
    let it = Rotation::new(on_request());
    it.rotate("S3cr-two");
    send_all(&it.relay, &numbered(20));
    it.nothing_lost(21);
    let sent = it.guarded.sent();
    let old = sent.iter().filter(|it| it.contains("one")).count();
    assert_eq!(old, 2, "the first profile and one refused: {sent:?}");
    assert_eq!(sent.len(), 22, "{sent:?}");
}

#[test]
fn a_token_is_rotated_while_the_configuration_file_is_faulty() {
    let it = Rotation::new(on_request());
    it.break_configuration();
    it.relay.refused_reload();
    it.rotate("S3cr-two");
    send_all(&it.relay, &numbered(20));
    it.nothing_lost(21);
    assert_eq!(it.relay.config_metric("last_reload_successful"), 0.0);
    // A reload that somebody asks for rotates a token as well, and still names the faults.
    it.rotate("S3cr-three");
    it.relay.refused_reload();
    upload(&it.relay, &it.guarded.target, "last");
    it.nothing_lost(22);
    let refused = it.guarded.sent().len() - 22;
    assert_eq!(refused, 1, "{:?}", it.guarded.sent());
}

#[test]
fn a_token_is_rotated_before_the_target_refuses_the_old_one() {
    for is_faulty in [false, true] {
        let it = Rotation::new(by_itself());
        if is_faulty {
            it.break_configuration();
            it.relay.wait_config_metric("last_reload_successful", 0.0);
        }
        it.rotate("S3cr-two");
        let_it_look();
        let_it_look();
        send_all(&it.relay, &numbered(5));
        it.nothing_lost(6);
        assert_eq!(it.guarded.sent().len(), 6, "none was refused");
    }
}

#[test]
fn many_uploads_that_are_refused_at_once_wait_for_one_look() {
    let (guarded, home) = (
        Guarded::new("Bearer S3cr-two"),
        tempfile::tempdir().unwrap(),
    );
    let token = LiveFile::new(&home.path().join("token"));
    fs::write(token.path(), "S3cr-one").unwrap();
    let base = on_request().target("central", &guarded.target, &[&option(&token)]);
    let relay = base.spawn();
    token.rename_over("S3cr-two");
    send_all(&relay, &numbered(50));
    let ledger = relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 50);
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let uploads = guarded.target.arrivals();
    let has = |upload: &upstream::Request, token: &str| {
        let sent = upload.head.get("authorization").unwrap_or_default();
        sent.ends_with(token)
    };
    let first = uploads
        .iter()
        .find(|it| has(it, "two"))
        .expect("all are sent");
    let late = |it: &&upstream::Request| has(it, "one") && it.at > first.at + MOMENT;
    assert_eq!(
        uploads.iter().filter(late).count(),
        0,
        "uploads with the old token"
    );
}

#[test]
fn an_emptied_token_file_keeps_its_last_good_content() {
    let it = Rotation::new(by_itself());
    let path = it.token.path().display().to_string();
    it.token.copy_over("");
    it.relay.wait_config_metric("stale_files", 1.0);
    let stale = it.relay.status()["config"]["stale_files"].clone();
    assert_eq!(stale[0]["path"], *path, "{stale}");
    assert!(stale[0]["text"].to_string().contains("empty"), "{stale}");
    assert_eq!(
        it.relay.config_metric("last_reload_successful"),
        1.0,
        "no fault of the file"
    );
    upload(&it.relay, &it.guarded.target, "still");
    it.nothing_lost(2);

    it.token.remove();
    let_it_look();
    assert_eq!(it.stale_files(), 1.0);
    it.rotate("S3cr-two");
    it.relay.wait_config_metric("stale_files", 0.0);
    assert_eq!(
        it.relay.status()["config"]["stale_files"],
        serde_json::json!([])
    );
    upload(&it.relay, &it.guarded.target, "rotated");
    it.nothing_lost(3);
    assert_eq!(it.guarded.sent().len(), 3, "none was refused");
}

#[test]
fn a_bad_token_does_not_stop_another_rotation() {
    let home = tempfile::tempdir().unwrap();
    let (bad, good) = (
        Guarded::new("Bearer S3cr-one"),
        Guarded::new("Bearer S3cr-two"),
    );
    let [first, second] = ["first", "second"].map(|it| LiveFile::new(&home.path().join(it)));
    for file in [&first, &second] {
        fs::write(file.path(), "S3cr-one").unwrap();
    }
    let relay = by_itself()
        .target("bad", &bad.target, &[&option(&first)])
        .target("good", &good.target, &[&option(&second)])
        .spawn();
    first.rename_over("S3cr-two\nS3cr-three");
    second.rename_over("S3cr-two");
    relay.wait_config_metric("stale_files", 1.0);
    let_it_look();
    upload(&relay, &good.target, "app");
    for name in ["bad", "good"] {
        relay.wait_ledger(name, "sent", |ledger| ledger.sent.profiles == 1);
    }
    assert_eq!(good.sent(), ["Bearer S3cr-two"]);
    assert_eq!(bad.sent(), ["Bearer S3cr-one"]);
}

#[test]
fn a_token_with_a_line_break_is_refused_by_its_key_and_shown_nowhere() {
    let it = Rotation::new(by_itself().yaml("log: { level: debug }"));
    it.token.rename_over("S3cr-two\nS3cr-three\n");
    it.relay.wait_config_metric("stale_files", 1.0);
    let key = "remote-write.targets.central.auth-token";
    let stale = it.relay.status()["config"]["stale_files"].to_string();
    assert!(stale.contains(key), "{stale}");
    upload(&it.relay, &it.guarded.target, "still");
    it.nothing_lost(2);
    // In a new configuration the file is a fault.
    it.relay
        .rewrite(&it.base.clone().yaml("tee: { max-body: 1MiB }"));
    it.relay.wait_config_metric("last_reload_successful", 0.0);
    let faults = it.relay.status()["config"]["faults"].to_string();
    assert!(faults.contains(key), "{faults}");
    let report = it.relay.refused_reload();
    assert!(report.texts("faults")[0].contains(key), "{report:?}");

    let page = |path: &str| {
        let answer = client::send(it.relay.admin(), &Request::get(path));
        String::from_utf8_lossy(&answer.body.data).into_owned()
    };
    let shown = [
        page("/api/v1/status"),
        page("/metrics"),
        page("/"),
        format!("{report:?}"),
    ];
    for text in shown.iter().chain([&it.relay.output()]) {
        assert!(!text.contains("S3cr-"), "{text}");
    }
}

#[test]
fn user_and_password_of_a_mounted_secret_change_together() {
    let home = tempfile::tempdir().unwrap();
    let pair = |version: usize| (format!("user{version}"), format!("S3cr-{version}"));
    let basic = |version: usize| {
        let (user, password) = pair(version);
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    };
    let (user, password) = pair(0);
    let mut mount = Mount::new(home.path(), &[("user", &user), ("password", &password)]);
    let guarded = Guarded::new(&basic(0));
    let file = |name: &str| format!("\"${{file:{}}}\"", mount.path(name).display());
    let options = [
        format!("basic-auth-user: {}", file("user")),
        format!("basic-auth-password: {}", file("password")),
        "queue-workers: 1".to_owned(),
    ];
    let relay = by_itself()
        .target(
            "central",
            &guarded.target,
            &options.each_ref().map(String::as_str),
        )
        .spawn();
    upload(&relay, &guarded.target, "first");
    for version in 1..=5 {
        let (user, password) = pair(version);
        guarded.accept(&basic(version));
        mount.swap(&[("user", &user), ("password", &password)]);
        upload(&relay, &guarded.target, &format!("app{version}"));
        let sent = version as u64 + 1;
        relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == sent);
        let all: Vec<_> = (0..=version).map(basic).collect();
        let sent = guarded.sent();
        assert!(
            sent.iter().all(|it| all.contains(it)),
            "a pair of two versions: {sent:?}"
        );
        let status = relay.status();
        assert_eq!(
            status["config"]["stale_files"],
            serde_json::json!([]),
            "{status}"
        );
    }
    let refused = guarded.sent().len() - 6;
    assert!(refused <= 5, "{refused} refused");
}

#[test]
fn a_wrong_token_suspends_the_surface_until_its_file_has_the_right_one() {
    let it = Rotation::new(by_itself());
    it.guarded.accept("Bearer S3cr-other");
    send_all(&it.relay, &numbered(10));
    eventually(SOON, "a suspended surface", || it.is_suspended());
    // The token that was missing suspends it no longer.
    it.token.rename_over("S3cr-other");
    let ledger = it
        .relay
        .wait_ledger("central", "all sent", |it| it.sent.profiles == 11);
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    eventually(SOON, "no suspended surface", || !it.is_suspended());
}
