//! Dead letters: profiles that a target rejected are kept, shown, replayed and purged.

/// Requests about dead letters, and who may make them.
mod asking;
/// Replay of dead letters.
mod replay;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Answer, Builder, Relay, Request, SOON, Upstream, client, command::pyrotee, eventually,
    key::parameter,
};

const KEPT: &str = "pyroscope_remote_write_dead_letters";
const MOON: &str = "the moon is full";

fn home() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// A target that refuses profiles called `bad…` with the status at the end of the name.
fn picky() -> Upstream {
    Upstream::script(|arrival| {
        let name = parameter(&arrival.head.query(), "name").unwrap_or_default();
        let name = name.split('{').next().unwrap_or_default();
        match name.strip_prefix("bad") {
            Some(status) => {
                let status = status.parse().expect("a status");
                Answer::error(status, "invalid_argument", &format!("{MOON}: {name}"))
            }
            None => Answer::ok(),
        }
    })
}

/// A relay without a local upstream that keeps dead letters in `dir`.
fn keeping(dir: &Path) -> Builder {
    Relay::builder()
        .yaml(&format!("dead-letters: {{ dir: \"{}\" }}", dir.display()))
        .remote_write("disable-local-writes: true")
}

/// Sends profiles, each after the previous one was rejected, so that the order of their letters is known.
fn reject(relay: &Relay, names: &[&str]) {
    for (count, name) in (1..).zip(names) {
        send(relay, &[name]);
        has(relay, count);
    }
}

fn send(relay: &Relay, names: &[&str]) {
    for name in names {
        let path = format!("/ingest?name={name}&from=now-10s");
        let request = Request::post(&path, format!("body of {name}").as_bytes());
        let request = request
            .field("Authorization", "Bearer token-of-the-client")
            .field("Cookie", "cookie-of-the-client");
        assert_eq!(relay.send(&request).status(), 200, "{name}");
    }
}

/// Waits until the relay has `letters` dead letters.
fn has(relay: &Relay, letters: u32) {
    eventually(SOON, &format!("{letters} letters"), || {
        relay.metrics().value(KEPT, &[]) == Some(f64::from(letters))
    });
}

/// Runs `pyrotee dead-letters`; its exit code, stdout and stderr.
fn command(args: &[&str]) -> (Option<i32>, String, String) {
    let done = pyrotee(&[&["dead-letters"], args].concat());
    (done.code, done.out, done.err)
}

fn well(args: &[&str]) -> String {
    let (code, out, err) = command(args);
    assert_eq!(code, Some(0), "{args:?}: {out}{err}");
    out
}

fn badly(args: &[&str]) -> String {
    let (code, out, err) = command(args);
    assert!(code > Some(0), "{args:?}: {out}{err}");
    err
}

/// The letters, as `ls --json` has them.
fn letters(place: &[&str]) -> Vec<Value> {
    let out = well(&[&["ls", "--json"], place].concat());
    let page: Value = serde_json::from_str(&out).expect("it is JSON");
    page["letters"].as_array().expect("a list").clone()
}

fn id(letter: &Value) -> &str {
    letter["id"].as_str().expect("a text")
}

fn apps(letters: &[Value]) -> Vec<&str> {
    letters
        .iter()
        .map(|letter| letter["app"].as_str().expect("a name"))
        .collect()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("it is a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    let mut names: Vec<_> = entries.map(|entry| name(entry).unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_rejected_is_kept_with_the_answer_and_no_secret() {
    let home = home();
    let target = Upstream::script(|_| {
        Answer::status(
            400,
            b"who is token-of-the-target?\n  the moon\x1b[2J is full",
        )
    });
    let options = ["auth-token: token-of-the-target", "tags: { env: test }"];
    let relay = keeping(home.path()).target("central", &target, &options);
    let relay = relay.spawn();
    send(&relay, &["shop%7Ba=b%7D"]);
    has(&relay, 1);

    let dir = home.path().to_str().unwrap();
    for place in [&["--dir", dir], &["--admin", &relay.admin().to_string()]] {
        let letters = letters(place);
        let [letter] = &letters[..] else {
            panic!("{letters:?}")
        };
        for (field, value) in [
            ("target", json!("central")),
            ("surface", json!("ingest")),
            ("app", json!("shop")),
            ("reason", json!("rejected")),
            ("tries", json!(1)),
            ("status", json!(400)),
            ("bytes", json!(21)),
        ] {
            assert_eq!(letter[field], value, "{field}");
        }
        let table = well(&[&["ls"], &place[..]].concat());
        assert!(
            table.contains(id(letter)) && table.contains("400 who is"),
            "{table}"
        );
        assert!(!table.contains('\u{1b}'), "{table:?}");

        let body = home.path().join("body");
        let to = body.to_str().unwrap();
        let shown = well(&[&["show", id(letter), "--body", to], &place[..]].concat());
        for text in [
            "target    central",
            "POST /ingest?name=shop%7Ba=b%7D&from=",
            "(21 B of body)",
        ] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        assert!(
            !shown.contains("now-10s"),
            "times are those of the receipt: {shown}"
        );
        assert!(
            !shown.contains("env"),
            "tags are the target's of the day: {shown}"
        );
        assert_eq!(fs::read(&body).unwrap(), b"body of shop%7Ba=b%7D");
        fs::remove_file(body).unwrap();
    }
    let files = names(home.path());
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let bytes = fs::read(home.path().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("token-of") && !text.contains("cookie-of"),
            "{file}: {text}"
        );
    }
}

#[test]
fn what_cannot_be_decoded_is_kept_and_what_was_lost_otherwise_is_not() {
    let home = home();
    let (target, untagged) = (Upstream::answering(Answer::never()), Upstream::ok());
    let options = [
        "tags: { env: test }",
        "on-ambiguous: drop",
        "timeout: 100ms",
    ];
    // A second target without tags: without it the client would get a 400 for a body that cannot be read.
    let relay = keeping(home.path())
        .target("central", &target, &options)
        .target("untagged", &untagged, &[])
        .spawn();
    let push = Request::post("/push.v1.PusherService/Push", b"no message of protobuf");
    let push = push.field("Content-Type", "application/proto");
    assert_eq!(relay.send(&push).status(), 200);
    send(&relay, &["app"]);
    relay.wait_ledger("central", "both lost", |ledger| {
        ledger.dropped("undecodable").profiles == 1 && ledger.dropped("ambiguous").profiles == 1
    });
    has(&relay, 1);
    let letters = letters(&["--admin", &relay.admin().to_string()]);
    assert_eq!(letters[0]["reason"], "undecodable");
    assert_eq!(letters[0]["surface"], "push");
    assert_eq!(letters[0]["status"], Value::Null);
}

#[test]
fn a_purge_takes_what_it_is_told_and_asks_for_no_less() {
    let home = home();
    let central = picky();
    let relay = keeping(home.path())
        .target("central", &central, &[])
        .target("other", &central, &[])
        .spawn();
    send(&relay, &["bad400", "bad422"]);
    has(&relay, 4);
    let admin = relay.admin().to_string();
    let purge = |args: &[&str]| well(&[&["purge", "--admin", &admin], args].concat());
    let error = badly(&["purge", "--admin", &admin]);
    assert!(error.contains("--all"), "{error}");
    assert_eq!(purge(&["--all", "--older-than", "2d"]), "0 of 0 purged\n");
    assert_eq!(purge(&["--target", "other"]), "2 of 2 purged\n");
    has(&relay, 2);
    assert_eq!(purge(&["--older-than", "0s"]), "2 of 2 purged\n");
    has(&relay, 0);
    assert_eq!(
        relay.metrics().value(&format!("{KEPT}_bytes"), &[]),
        Some(0.0)
    );
}

#[test]
fn a_spool_has_them_inside_and_does_not_wonder() {
    let home = home();
    let target = picky();
    let spool = home.path().join("spool");
    let builder = || {
        Relay::builder()
            .yaml(&format!("spool: {{ dir: \"{}\" }}", spool.display()))
            .remote_write("disable-local-writes: true")
            .target("central", &target, &[])
    };
    let mut relay = builder().spawn();
    send(&relay, &["bad400"]);
    has(&relay, 1);
    relay.sigterm();
    assert!(relay.wait(2 * SOON).is_some());
    let relay = builder().spawn();
    has(&relay, 1);
    assert!(!relay.output().contains("foreign"), "{}", relay.output());
    let admin = relay.admin().to_string();
    well(&["replay", "--all", "--admin", &admin]);
    relay.wait_ledger("central", "rejected again", |ledger| {
        ledger.dropped("rejected").profiles == 1 && ledger.pending.profiles == 0
    });
    has(&relay, 1);

    let config: PathBuf = relay.home().join("pyrotee.yaml");
    let config = config.to_str().unwrap();
    assert_eq!(apps(&letters(&["--config", config])), ["bad400"]);
}

#[test]
fn each_command_helps() {
    let help = well(&["--help"]);
    for word in ["ls", "show", "replay", "purge"] {
        assert!(help.contains(&format!("\n  {word}")), "{help}");
        let help = well(&[word, "--help"]);
        for part in [
            "Examples:",
            "--dir",
            "--config",
            "--admin",
            "pyrotee dead-letters",
        ] {
            assert!(help.contains(part), "{word}: {part}: {help}");
        }
    }
}
