//! Replay of dead letters.

use super::*;

#[test]
fn a_replay_delivers_with_tags_once_to_that_target_alone() {
    let home = home();
    let (central, other) = (picky(), Upstream::ok());
    let mended = Upstream::ok();
    let relay = keeping(home.path())
        .target("central", &central, &["tags: { env: old }"])
        .target("other", &other, &[])
        .spawn();
    send(&relay, &["bad422", "good", "bad400"]);
    has(&relay, 2);
    let received = &letters(&["--dir", home.path().to_str().unwrap()])[0]["received"];
    let received = received.as_str().unwrap().to_owned();
    drop(relay);

    // Make the letters older: change the time of receipt in their files.
    for name in names(home.path()) {
        let path = home.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("Received: 1", "Received: 0")).unwrap();
    }
    // The target accepts the profiles now, and has another tag.
    let dir = home.path().to_str().unwrap().to_owned();
    let relay = keeping(home.path())
        .target("central", &mended, &["tags: { env: new }", "max-age: 1m"])
        .target("other", &other, &[])
        .spawn();
    has(&relay, 2);
    let admin = relay.admin().to_string();
    let out = well(&["replay", "--all", "--admin", &admin]);
    assert_eq!(out, "2 of 2 replayed\n");
    has(&relay, 0);
    assert_eq!(names(Path::new(&dir)), ["lock"]);
    let ledger = relay.wait_ledger("central", "sent", |ledger| ledger.sent.profiles == 2);
    assert_eq!(ledger.accepted.profiles, 2);
    assert_eq!(relay.ledger("other").accepted.profiles, 0);
    assert_eq!(other.requests().len(), 3, "only what came from clients");

    let mut requests = mended.wait_for(2, SOON);
    requests.sort_by_key(|request| request.body.data.clone());
    assert_eq!(requests.len(), 2);
    for (request, name) in requests.iter().zip(["bad400", "bad422"]) {
        let query = request.head.query();
        let named = parameter(&query, "name").unwrap();
        assert_eq!(named, format!("{name}{{env=new}}"));
        assert_eq!(request.body.data, format!("body of {name}").as_bytes());
        let until = parameter(&query, "until").unwrap().parse::<u64>().unwrap() / 1_000_000_000;
        let received = received.get(0..19).unwrap();
        assert!(
            humantime_seconds(received).abs_diff(until) <= 5,
            "the time of the receipt: {until} {received}"
        );
    }
    let metrics = relay.metrics();
    assert_eq!(
        metrics.value(&format!("{KEPT}_replayed_total"), &[]),
        Some(2.0)
    );
}

/// Unix seconds of `2026-11-24T10:43:00`, calculated without the relay's code.
fn humantime_seconds(text: &str) -> u64 {
    let part = |range| {
        text.get::<std::ops::Range<usize>>(range)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    (days - 719_468) * 86_400 + part(11..13) * 3_600 + part(14..16) * 60 + part(17..19)
}

#[test]
fn a_letter_that_is_refused_again_is_a_new_one_and_another_target_can_have_it() {
    let home = home();
    let (central, other) = (picky(), Upstream::ok());
    let relay = keeping(home.path())
        .target("central", &central, &[])
        .target("other", &other, &["tags: { env: other }"])
        .spawn();
    send(&relay, &["bad400"]);
    has(&relay, 1);
    let admin = relay.admin().to_string();
    let place = ["--admin", &admin];
    let first = letters(&place);
    let out = well(&["replay", id(&first[0]), "--admin", &admin]);
    assert_eq!(out, "1 of 1 replayed\n");
    eventually(SOON, "a new letter", || {
        let now = letters(&place);
        now.len() == 1 && id(&now[0]) != id(&first[0])
    });
    let gone = badly(&["replay", id(&first[0]), "--admin", &admin]);
    assert!(gone.contains("there is no dead letter"), "{gone}");

    let second = letters(&place);
    let error = badly(&[
        "replay",
        id(&second[0]),
        "--to",
        "nobody",
        "--admin",
        &admin,
    ]);
    assert!(
        error.contains("no target `nobody`") && error.contains("central, other"),
        "{error}"
    );
    well(&["replay", id(&second[0]), "--to", "other", "--admin", &admin]);
    let requests = other.wait_for(2, SOON);
    assert_eq!(
        parameter(&requests[1].head.query(), "name").unwrap(),
        "bad400{env=other}"
    );
    has(&relay, 0);
}

#[test]
fn a_letter_of_another_relays_profile_keeps_its_tags_in_the_spool() {
    let home = home();
    let (dir, spool) = (home.path().join("letters"), home.path().join("spool"));
    let (own, central) = (["tags: { env: own }"], picky());
    let relay = keeping(&dir).target("central", &central, &own).spawn();
    reject(&relay, &["bad400"]);
    drop(relay);
    // As a relay writes it that took the profile over from a shared backlog.
    let letter = names(&dir).into_iter().find(|it| it.ends_with(".http"));
    let letter = dir.join(letter.expect("it was rejected"));
    let text = fs::read_to_string(&letter).unwrap();
    let tagged = text.replace("\r\nPyrotee-R", "\r\nPyrotee-Tags: env=captor\r\nPyrotee-R");
    fs::write(letter, tagged).unwrap();

    let spooling = || keeping(&dir).yaml(&format!("spool: {{ dir: \"{}\" }}", spool.display()));
    let away = Upstream::ok().stop();
    let relay = spooling()
        .target_address("central", &format!("http://{away}"), &own)
        .spawn();
    has(&relay, 1);
    relay.wait_until_spool_is_open();
    well(&["replay", "--all", "--admin", &relay.admin().to_string()]);
    has(&relay, 0);
    drop(relay);
    let (spool, out) = (spool.to_str().unwrap(), home.path().join("exported"));
    let export = ["spool", "export", "--dir", spool, "--out"];
    let done = pyrotee(&[&export[..], &[out.to_str().unwrap()]].concat());
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let file = out.join(&names(&out)[0]);
    let exported = fs::read_to_string(&file).unwrap();
    assert!(
        exported.contains("\r\nPyrotee-Tags: env=captor\r\n"),
        "{exported}"
    );

    let mended = Upstream::ok();
    let relay = spooling().target("central", &mended, &own).spawn();
    mended.wait_for(1, SOON);
    let (file, config) = (file.to_str().unwrap(), relay.home().join("pyrotee.yaml"));
    let send = ["send", "--target", "central", "--file", file, "--config"];
    let done = pyrotee(&[&send[..], &[config.to_str().unwrap()]].concat());
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    for request in mended.wait_for(2, SOON) {
        let name = parameter(&request.head.query(), "name").unwrap();
        assert_eq!(name, "bad400{env=captor}");
    }
    // A client cannot name the tags.
    let to = format!("http://{}", relay.addr());
    let done = pyrotee(&["send", "--to", &to, "--file", file]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let last = mended.wait_for(3, SOON).remove(2);
    let name = parameter(&last.head.query(), "name").unwrap();
    assert_eq!(name, "bad400{env=own}");
}

#[test]
fn replayed_letters_leave_room_for_fresh_profiles() {
    let home = home();
    let central = picky();
    let relay = keeping(home.path()).target("central", &central, &[]);
    let relay = relay.spawn();
    send(&relay, &["bad400"; 12]);
    has(&relay, 12);
    drop(relay);
    let away = Upstream::ok().stop();
    let options = ["queue-size: 10", "on-full: drop-oldest"];
    let relay = keeping(home.path())
        .target_address("central", &format!("http://{away}"), &options)
        .spawn();
    let ids: Vec<_> = letters(&["--dir", home.path().to_str().unwrap()])
        .iter()
        .map(|letter| id(letter).to_owned())
        .collect();
    let order = json!({ "ids": ids }).to_string();
    let request = Request::post("/api/v1/dead-letters/replay", order.as_bytes());
    let answer = client::send(relay.admin(), &request);
    assert_eq!(answer.status(), 200, "{answer:?}");
    let done = answer.json();
    assert_eq!(done["done"].as_array().unwrap().len(), 5, "{done}");
    assert_eq!(done["left"].as_array().unwrap().len(), 7, "{done}");
    assert_eq!(relay.ledger("central").pending.profiles, 5);
    has(&relay, 7);
}

#[test]
fn without_a_relay_they_are_looked_at_replayed_and_purged_in_the_directory() {
    let home = home();
    let central = picky();
    let relay = keeping(home.path()).target("central", &central, &[]);
    let mut relay = relay.spawn();
    reject(&relay, &["bad400", "bad422", "bad413"]);
    let dir = home.path().to_str().unwrap();

    // A command that changes something needs the lock of the directory.
    for args in [
        &["purge", "--all"][..],
        &["replay", "--all", "--to", "http://127.0.0.1:9"],
    ] {
        let error = badly(&[args, &["--dir", dir]].concat());
        assert!(
            error.contains("another process uses") && error.contains("--admin"),
            "{error}"
        );
    }
    relay.sigterm();
    assert_eq!(relay.wait(2 * SOON).expect("an end").code(), Some(0));
    assert_eq!(
        apps(&letters(&["--dir", dir])),
        ["bad413", "bad422", "bad400"]
    );

    let error = badly(&["replay", "--all", "--dir", dir]);
    assert!(error.contains("--to is missing"), "{error}");
    let away = Upstream::ok().stop();
    let error = badly(&[
        "replay",
        "--all",
        "--dir",
        dir,
        "--to",
        &format!("http://{away}"),
    ]);
    assert!(
        error.contains("failed to connect") && error.contains("3 left"),
        "{error}"
    );

    let pyroscope = Upstream::script(|arrival| match arrival.index {
        1 => Answer::status(422, b"still no moon"),
        _ => Answer::ok(),
    });
    let to = format!("{}/base", pyroscope.url());
    let (code, out, err) = command(&["replay", "--all", "--dir", dir, "--to", &to]);
    assert_eq!((code, &*out), (Some(1), "2 of 3 replayed\n"), "{err}");
    assert!(err.contains("still no moon"), "{err}");
    let requests = pyroscope.requests();
    assert_eq!(requests[0].head.path(), "/base/ingest");
    assert_eq!(requests[0].body.data, b"body of bad400", "the oldest first");
    assert!(!requests[0].head.query().contains("now-10s"));

    let left = letters(&["--dir", dir]);
    assert_eq!(apps(&left), ["bad422"]);
    assert_eq!(
        well(&["purge", id(&left[0]), "--dir", dir]),
        "1 of 1 purged\n"
    );
    assert_eq!(names(home.path()), ["lock"]);
}
