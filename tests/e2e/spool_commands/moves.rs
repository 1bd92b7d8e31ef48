//! Commands of the spool that change something.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Home, killed, names, nobody, numbered, path, pyrotee, send, spool, target, wait_until_written,
};
use crate::support::{Answer, Count, Relay, Request, SOON, Upstream, client, eventually, poll};

fn pending(home: &Home, name: &str) -> u64 {
    let page = spool(&["stats", "--dir", path(&home.spool()), "--json"])
        .expect(0, &[])
        .json();
    target(&page, name)["pending"]["profiles"].as_u64().unwrap()
}

/// A relay with two profiles for a target that is down.
fn running(home: &Home) -> Relay {
    let relay = home
        .relay()
        .target_address("central", &nobody(), &[])
        .spawn();
    send(&relay, &numbered(2));
    relay
}

#[test]
fn a_replay_offline_sends_all_once_and_leaves_the_others_alone() {
    let home = Home::new();
    killed(&home, &["other"]);
    let (dir, sink) = (home.spool(), Upstream::ok());
    let args = ["replay", "--dir", path(&dir), "--target", "central", "--to"];
    spool(&[&args[..], &[&sink.url()]].concat()).expect(0, &["sent 10 profiles", "0 left"]);
    assert_eq!(names(&sink), numbered(10));
    let times = |query: &str| query.contains("&from=") && query.contains("&until=");
    assert!(sink.requests().iter().all(|it| times(&it.head.query())));
    assert_eq!(
        (pending(&home, "central"), pending(&home, "other")),
        (0, 10)
    );
    // Nothing is left, and a relay finds nothing pending.
    spool(&[&args[..], &[&sink.url()]].concat()).expect(0, &["sent 0 profiles"]);
    let other = Upstream::ok();
    let relay = home.relay().target_address("central", &nobody(), &[]);
    let relay = relay.target("other", &other, &[]).spawn();
    relay.wait_ledger("other", "all sent", |ledger| ledger.sent.profiles == 10);
    assert_eq!(relay.ledger("central").accepted, Count::default());
    assert_eq!(names(&sink).len(), 10);
}

#[test]
fn what_is_not_taken_stays_and_can_be_sent_later() {
    let home = Home::new();
    killed(&home, &[]);
    let dir = home.spool();
    let args = ["replay", "--dir", path(&dir), "--target", "central", "--to"];
    let replay = |to: &str, more: &[&str]| spool(&[&args[..], &[to], more].concat());
    replay(&nobody(), &["--failures", "2"]).expect(1, &["2 times in a row", "10 left", "refused"]);
    // The target rejects every third profile, and accepts the others.
    let picky = Upstream::script(|arrival| match arrival.index % 3 {
        2 => Answer::status(400, b"no such format"),
        _ => Answer::ok(),
    });
    replay(&picky.url(), &[]).expect(1, &["sent 7 profiles", "3 left", "no such format"]);
    assert_eq!(pending(&home, "central"), 3);
    let sink = Upstream::ok();
    replay(&sink.url(), &["--rate", "1MB"]).expect(0, &["sent 3 profiles"]);
    assert_eq!(names(&sink).len(), 3);
    let to = sink.url();
    replay(&to, &["--quarantined", "x"]).expect(2, &["cannot be used with"]);
    spool(&["replay", "--dir", path(&dir), "--to", &to]).expect(2, &["--target"]);
    spool(&["replay", "--dir", path(&dir)]).expect(2, &["--to", "--config"]);
}

#[test]
fn an_interrupted_replay_ends_between_two_profiles_and_can_go_on() {
    let home = Home::new();
    killed(&home, &[]);
    let dir = home.spool();
    let sink = Upstream::answering(Answer::ok().after(Duration::from_millis(200)));
    let url = sink.url();
    let args = [
        "spool",
        "replay",
        "--dir",
        path(&dir),
        "--target",
        "central",
        "--to",
        &url,
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary was built with this test");
    sink.wait_for(2, SOON);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it is a child of this test");
    let ended = poll(SOON, || {
        child.try_wait().expect("it is a child of this test")
    });
    assert_eq!(ended.expect("it ends").code(), Some(1), "something is left");
    let sent = sink.requests().len() as u64;
    assert!((2..10).contains(&sent), "{sent}");
    assert_eq!(
        pending(&home, "central"),
        10 - sent,
        "the last one counts as sent"
    );
    spool(&args[1..]).expect(0, &["0 left"]);
    assert_eq!(names(&sink), numbered(10), "each once");
}

#[test]
fn with_a_configuration_a_replay_sends_as_the_relay_would() {
    let home = Home::new();
    killed(&home, &["gone"]);
    let config = home.join("pyrotee.yaml");
    let write = |address: &str| {
        let yaml = format!(
            "spool: {{ dir: \"{}\" }}\nremote-write:\n  targets:\n    central:\n      address: {address}\n      auth-token: secret\n      tags: {{ region: eu }}\n      max-age: 1ms\n",
            home.spool().display()
        );
        fs::write(&config, yaml).unwrap();
    };
    write(&nobody());
    let args = ["replay", "--config", path(&config)];
    let failed = spool(&[&args[..], &["--patience", "1s"]].concat());
    failed.expect(1, &["10 left", "gave up", "--patience", "last error"]);
    let sink = Upstream::ok();
    write(&sink.url());
    spool(&args).expect(0, &["central: sent 10 profiles", "0 left"]);
    for request in sink.requests() {
        assert_eq!(
            request.head.get("authorization").as_deref(),
            Some("Bearer secret")
        );
        assert!(
            request.head.query().contains("region"),
            "{}",
            request.head.query()
        );
    }
    assert_eq!(pending(&home, "gone"), 10, "removed ones are kept");
    spool(&[&args[..], &["--target", "gone"]].concat()).expect(2, &["there are: central", "--to"]);
}

#[test]
fn what_a_target_rejects_in_a_replay_is_kept_as_a_dead_letter() {
    let home = Home::new();
    killed(&home, &[]);
    let sink = Upstream::answering(Answer::status(400, b"no such format"));
    let config = home.join("pyrotee.yaml");
    let yaml = format!(
        "spool: {{ dir: \"{}\" }}\nremote-write:\n  targets:\n    central:\n      address: {}\n",
        home.spool().display(),
        sink.url()
    );
    fs::write(&config, yaml).unwrap();
    let replayed = spool(&["replay", "--config", path(&config)]);
    replayed.expect(1, &["sent 0 profiles", "0 left, 10 lost as rejected"]);
    let letters = pyrotee(&["dead-letters", "ls", "--config", path(&config)]);
    letters.expect(0, &["no such format"]);
    let foreign = spool(&["stats", "--config", path(&config), "--json"]).json();
    assert_eq!(
        foreign["foreign"],
        serde_json::json!([]),
        "their directory is none"
    );
}

/// Whether the target `old` is in the state `removed`.
fn is_removed(relay: &Relay) -> Option<f64> {
    let labels = [("target", "old"), ("state", "removed")];
    let state = "pyroscope_remote_write_target_state";
    relay.metrics().value(state, &labels)
}

#[test]
fn a_running_relay_gives_what_a_renamed_target_left_to_its_new_name() {
    let home = Home::new();
    killed(&home, &["old"]);
    let mut moved: Vec<_> = home.content().into_keys().collect();
    moved.retain(|name| name.ends_with(".log"));
    assert!(!moved.is_empty(), "something waits on disk");
    let (central, new) = (Upstream::ok(), Upstream::ok());
    let relay = home.relay().target("central", &central, &[]);
    let relay = relay.target("new", &new, &["queue-size: 3"]).spawn();
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 10);
    assert_eq!(relay.ledger("new").accepted, Count::default());
    let admin = relay.admin().to_string();
    let status = || pyrotee(&["status", "--admin", &admin, "--json"]).json();
    assert_eq!(
        relay.ledger("old").pending.profiles,
        10,
        "it has an account"
    );
    assert_eq!(is_removed(&relay), Some(1.0));
    let removed = &status()["removed"];
    assert_eq!(
        (&removed[0]["name"], &removed[0]["pending"]["profiles"]),
        (&"old".into(), &10.into())
    );
    pyrotee(&["status", "--admin", &admin]).expect(0, &["old      removed ", "10 ("]);
    let replay =
        |from: &str, to: &str| spool(&["replay", "--admin", &admin, "--from", from, "--to", to]);
    replay("central", "new").expect(1, &["409", "are delivered already"]);
    replay("nobody", "new").expect(1, &["404", "there are: old"]);
    replay("old", "nobody").expect(1, &["404", "there are: central, new"]);
    replay("old", "new").expect(0, &["new has 10 profiles of old", "0 left"]);
    relay.wait_ledger("new", "all sent", |ledger| ledger.sent.profiles == 10);
    assert_eq!(names(&new), numbered(10));
    assert_eq!(relay.ledger("new").lost(), Count::default());
    let handed_over = relay.wait_ledger("old", "nothing is left", |it| it.pending.profiles == 0);
    assert_eq!(handed_over.sent, relay.ledger("new").sent);
    assert_eq!(is_removed(&relay), Some(0.0));
    assert_eq!(status()["removed"], serde_json::json!([]));
    let told = spool(&["stats", "--admin", &admin, "--json"])
        .expect(0, &[])
        .json();
    assert_eq!(
        (&told["replay"]["state"], &told["replay"]["left"]),
        (&"done".into(), &0.into())
    );
    eventually(SOON, "what was moved to be unlinked", || {
        let content = home.content();
        !moved.iter().any(|name| content.contains_key(name))
    });
    replay("old", "new").expect(1, &["no removed target old has pending profiles"]);
}

#[test]
fn a_spool_in_use_is_not_taken_and_whom_to_ask_is_told() {
    let home = Home::new();
    let relay = running(&home);
    let dir = home.spool();
    let to = nobody();
    let commands: [&[&str]; 4] = [
        &["replay", "--target", "central", "--to", &to],
        &["purge", "--target", "central"],
        &["purge", "--removed"],
        &["purge", "--quarantined"],
    ];
    for command in commands {
        let done = spool(&[command, &["--dir", path(&dir)]].concat());
        done.expect(1, &["is in use by a relay", "--admin"]);
    }
    assert_eq!(relay.ledger("central").pending.profiles, 2);
}

#[test]
fn a_purge_loses_what_is_named_and_nothing_else() {
    let home = Home::new();
    killed(&home, &["other", "third"]);
    let dir = home.spool();
    let purge = |more: &[&str]| spool(&[&["purge", "--dir", path(&dir)], more].concat());
    purge(&[]).expect(2, &["--target", "--removed", "--quarantined"]);
    assert_eq!(pending(&home, "central"), 10);
    purge(&["--target", "nobody"]).expect(2, &["there are: central, other, third"]);
    purge(&["--target", "central"]).expect(0, &["central: lost 10 profiles, 48.8 KiB"]);
    assert_eq!(
        (pending(&home, "central"), pending(&home, "other")),
        (0, 10)
    );
    purge(&["--removed"]).expect(0, &["no removed target had pending profiles"]);
    // A relay whose configuration lacks two of these targets.
    let relay = home.relay().target_address("other", &nobody(), &[]).spawn();
    let admin = relay.admin().to_string();
    let asked = |more: &[&str]| spool(&[&["purge", "--admin", &admin], more].concat());
    asked(&["--target", "third"]).expect(0, &["third: lost 10 profiles"]);
    asked(&["--removed"]).expect(0, &["no removed target"]);
    asked(&["--target", "nobody"]).expect(1, &["there are: other"]);
    asked(&["--target", "other"]).expect(0, &["other: lost"]);
    let ledger = relay.wait_ledger("other", "the loss", |it| it.pending.profiles <= 1);
    assert!(ledger.dropped("admin").profiles >= 9, "{ledger:?}");
}

#[test]
fn damaged_segments_are_sent_and_deleted() {
    let home = Home::new();
    killed(&home, &[]);
    let (dir, segment) = (home.spool(), home.segment());
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let taken = Upstream::ok();
    let relay = home.relay().target("central", &taken, &[]).spawn();
    relay.wait_ledger("central", "nine", |ledger| ledger.sent.profiles == 9);
    let aside = || {
        home.content()
            .keys()
            .find(|name| name.ends_with(".corrupt"))
            .cloned()
    };
    eventually(SOON, "it is set aside", || aside().is_some());
    let file = aside().unwrap();
    let (sink, out) = (Upstream::ok(), home.join("out"));
    let exported = spool(&[
        "export",
        "--dir",
        path(&dir),
        "--quarantined",
        "--out",
        path(&out),
    ]);
    exported.expect(1, &["exported 9 profiles", "left out as damaged: 1"]);
    let to = sink.url();
    let replay = ["replay", "--dir", path(&dir), "--to", &to, "--quarantined"];
    spool(&[&replay[..], &[&file]].concat()).expect(1, &["sent 9 profiles", "1 damaged"]);
    assert_eq!(names(&sink).len(), 9);
    spool(&[&replay[..], &["0.corrupt"]].concat()).expect(1, &["no damaged segment"]);
    let admin = relay.admin().to_string();
    let deleted = spool(&["purge", "--admin", &admin, "--quarantined"]);
    deleted.expect(0, &["deleted 1 damaged segment,"]);
    assert_eq!(aside(), None);
    let set_aside = "pyroscope_remote_write_spool_quarantined_segments";
    assert_eq!(relay.metrics().value(set_aside, &[]), Some(0.0));
}

#[test]
fn a_relay_without_a_spool_says_so() {
    let sink = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&sink)
        .target("central", &sink, &[])
        .spawn();
    let admin = relay.admin().to_string();
    spool(&["stats", "--admin", &admin]).expect(1, &["404", "spool.dir"]);
    let (from, to) = ("old", "central");
    let replay = spool(&["replay", "--admin", &admin, "--from", from, "--to", to]);
    replay.expect(1, &["404", "spool.dir"]);
    let answer = client::send(
        relay.admin(),
        &Request::get("/api/v1/spool/replay?from=a&to=b"),
    );
    assert_eq!(answer.status(), 405);
    spool(&["purge", "--admin", &admin, "--target", "central"]).expect(0, &["lost 0 profiles"]);
}

#[test]
fn a_program_in_a_browser_cannot_move_or_lose_anything() {
    let home = Home::new();
    let relay = running(&home);
    wait_until_written(&relay, 2.0);
    for path in [
        "/api/v1/spool/purge?what=quarantined",
        "/api/v1/spool/replay?from=a&to=central",
    ] {
        let request = Request::post(path, b"").field("Origin", "http://evil.example");
        let answer = client::send(relay.admin(), &request);
        assert_eq!(answer.status(), 403, "{path}");
    }
}
