//! Commands of the spool that change nothing.

use std::fs;

use serde_json::json;

use super::{Home, killed, names, nobody, numbered, path, pyrotee, send, spool, target};
use crate::support::{Upstream, client::noise};

#[test]
fn stats_tell_what_a_killed_relay_left_and_change_nothing() {
    let home = Home::new();
    killed(&home, &["other"]);
    let before = home.content();
    let dir = home.spool();
    let page = spool(&["stats", "--dir", path(&dir), "--json"])
        .expect(0, &[])
        .json();
    assert_eq!(
        (&page["state"], &page["format"]),
        (&json!("unclean"), &json!(2))
    );
    assert_eq!(page["dir"], path(&dir));
    assert!(page["bytes"].as_u64() > Some(50_000), "{page}");
    for name in ["central", "other"] {
        let target = target(&page, name);
        assert_eq!(target["state"], "configured");
        assert_eq!(
            target["pending"],
            json!({ "profiles": 10, "bytes": 50_000 })
        );
        let age = target["oldest_pending_age_seconds"].as_f64();
        assert!(
            age.is_some_and(|age| (0.0..60.0).contains(&age)),
            "{target}"
        );
    }
    let table = spool(&["stats", "--dir", path(&dir)]);
    table.expect(
        0,
        &["not closed cleanly", "\ncentral  configured  10 (48.8 KiB)"],
    );
    assert_eq!(home.content(), before, "not a byte has changed");
}

#[test]
fn stats_are_told_beside_a_running_relay_and_by_it() {
    let home = Home::new();
    killed(&home, &["old"]);
    let builder = home.relay().target_address("central", &nobody(), &[]);
    let relay = builder.target_address("new", &nobody(), &[]).spawn();
    send(&relay, &numbered(3));
    let dir = home.spool();
    let admin = relay.admin().to_string();
    let beside = spool(&["stats", "--dir", path(&dir), "--json"])
        .expect(0, &[])
        .json();
    let told = spool(&["stats", "--admin", &admin, "--json"])
        .expect(0, &[])
        .json();
    for page in [&beside, &told] {
        assert_eq!(page["state"], "in_use", "{page}");
        let pending = |name| target(page, name)["pending"]["profiles"].as_u64().unwrap();
        assert_eq!((pending("central"), pending("old")), (13, 10), "{page}");
        assert_eq!(pending("new"), 3, "{page}");
    }
    assert_eq!(target(&told, "old")["state"], "removed");
    assert_eq!(target(&told, "central")["state"], "configured");
    assert!(told["max_bytes"].is_u64() && told["replay"].is_null());
    spool(&["verify", "--dir", path(&dir)]).expect(0, &["whole: 13 records"]);
}

#[test]
fn a_flipped_bit_is_found_and_a_whole_spool_is_called_whole() {
    let home = Home::new();
    killed(&home, &[]);
    let dir = home.spool();
    spool(&["verify", "--dir", path(&dir)]).expect(0, &["whole: 10 records in 1 segment,"]);
    let segment = home.segment();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let before = home.content();
    let file = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let next = "next: start the relay";
    let found = spool(&["verify", "--dir", path(&dir)]);
    found.expect(
        1,
        &[
            &file,
            "5000 bytes",
            "damaged body",
            "central: 1 profile",
            next,
        ],
    );
    let found = spool(&["verify", "--dir", path(&dir), "--json"])
        .expect(1, &[])
        .json();
    assert_eq!(found["whole"], false);
    assert_eq!(found["hurt"], json!({ "central": 1 }));
    let finding = &found["findings"][0];
    let (offset, length) = (
        finding["offset"].as_u64().unwrap(),
        finding["length"].as_u64(),
    );
    let place = offset..offset + length.unwrap();
    assert!(place.contains(&(at as u64)), "{finding}");
    assert_eq!(home.content(), before);
    let out = home.join("out");
    let exported = spool(&["export", "--dir", path(&dir), "--out", path(&out)]);
    exported.expect(1, &["exported 9 profiles", "left out as damaged: 1"]);
}

#[test]
fn what_is_exported_is_sent_byte_for_byte() {
    let home = Home::new();
    killed(&home, &[]);
    let before = home.content();
    let (dir, out) = (home.spool(), home.join("out"));
    let export = ["export", "--dir", path(&dir), "--out", path(&out)];
    spool(&export).expect(0, &["exported 10 profiles"]);
    assert_eq!(home.content(), before, "what waits goes on waiting");
    spool(&export).expect(1, &["is not empty", "--force"]);
    let mut files: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    spool(&[&export[..], &["--force"]].concat()).expect(0, &["exported 10"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 10, "the same names");
    let target = Upstream::ok();
    for file in &files {
        let sent = pyrotee(&["send", "--to", &target.url(), "--file", path(file)]);
        sent.expect(0, &[]);
    }
    let requests = target.requests();
    let bodies = requests
        .iter()
        .all(|request| request.body.data == noise(5_000));
    assert!(bodies, "byte for byte");
    assert_eq!(names(&target), numbered(10));
    for request in &requests {
        let query = request.head.query();
        assert!(
            query.contains("&from=") && query.contains("&until="),
            "{query}"
        );
    }
}

#[test]
fn an_export_takes_what_it_is_asked_for() {
    let home = Home::new();
    killed(&home, &["other"]);
    let dir = home.spool();
    let export = |name: &str, more: &[&str]| {
        let out = home.join(name);
        let args = ["export", "--dir", path(&dir), "--out", path(&out)];
        spool(&[&args[..], more].concat())
    };
    export("a", &["--target", "other"]).expect(0, &["exported 10 profiles"]);
    export("b", &["--since", "1h"]).expect(0, &["exported 10 profiles"]);
    export("c", &["--until", "1h"]).expect(0, &["exported 0 profiles"]);
    export("d", &["--quarantined"]).expect(0, &["exported 0 profiles"]);
    export("e", &["--target", "nobody"]).expect(2, &["there are: central, other"]);
    export("f", &["--since", "noon"]).expect(2, &["two hours ago"]);
}

#[test]
fn what_is_no_spool_is_called_so() {
    let home = Home::new();
    let empty = home.join("empty");
    fs::create_dir(&empty).unwrap();
    for command in ["stats", "verify"] {
        let found = spool(&[command, "--dir", path(&empty)]);
        found.expect(1, &["find a spool", "spool.dir"]);
        let missing = home.join("missing");
        let found = spool(&[command, "--dir", path(&missing)]);
        found.expect(1, &["failed to read", "No such file"]);
        spool(&[command]).expect(2, &["--dir", "--config"]);
    }
    let config = home.join("pyrotee.yaml");
    fs::write(&config, "remote-write: { enabled: false }\n").unwrap();
    spool(&["stats", "--config", path(&config)]).expect(2, &["spool.dir"]);
    fs::write(&config, "nonsense: 1\n").unwrap();
    spool(&["stats", "--config", path(&config)]).expect(2, &["nonsense"]);
}
