//! Requests about dead letters: ids, access rights, and lists in pages.

use std::thread;

use super::*;
use crate::support::command;

#[test]
fn ids_do_not_lead_out_of_the_directory() {
    let home = home();
    let dir = home.path().join("letters");
    let target = Upstream::ok();
    let relay = keeping(&dir).target("central", &target, &[]).spawn();
    fs::write(
        home.path().join("secret.http"),
        b"POST /ingest HTTP/1.1\r\n\r\n",
    )
    .unwrap();
    fs::write(home.path().join("secret.json"), b"{}").unwrap();
    let admin = relay.admin().to_string();
    for bad in [
        "../secret",
        "20261124T104300.123Z-000001-../../secret",
        "x",
        "..%2Fsecret",
    ] {
        for args in [&["show", bad][..], &["purge", bad], &["replay", bad]] {
            let error = badly(&[args, &["--admin", &admin]].concat());
            assert!(error.contains("is not the id of a dead letter"), "{error}");
        }
        for (method, path) in [
            ("GET", format!("/{bad}")),
            ("POST", format!("/{bad}/request")),
        ] {
            let path = format!("/api/v1/dead-letters{path}");
            let answer = client::send(relay.admin(), &Request::new(method, &path));
            assert_eq!(answer.status(), 400, "{method} {path}");
        }
        for action in ["purge", "replay"] {
            let order = json!({ "ids": [bad] }).to_string();
            let path = format!("/api/v1/dead-letters/{action}");
            let answer = client::send(relay.admin(), &Request::post(&path, order.as_bytes()));
            assert_eq!(answer.json()["failed"].as_array().unwrap().len(), 1);
        }
    }
    let unknown = "20261124T104300.123Z-000001-central";
    let error = badly(&["show", unknown, "--admin", &admin]);
    assert!(
        error.contains("404") && error.contains("there is no dead letter"),
        "{error}"
    );
    let error = badly(&["show", unknown, "--dir", dir.to_str().unwrap()]);
    assert!(error.contains("there is no dead letter"), "{error}");
    let error = badly(&["ls", "--dir", home.path().join("none").to_str().unwrap()]);
    assert!(error.contains("is no directory of dead letters"), "{error}");
    assert!(home.path().join("secret.json").exists());
}

#[test]
fn a_path_that_names_no_letter_gets_the_reason_as_json() {
    let home = home();
    let target = Upstream::ok();
    let relay = keeping(home.path()).target("central", &target, &[]).spawn();
    eventually(SOON, "the directory is open", || {
        client::send(relay.admin(), &Request::get("/api/v1/dead-letters")).status() == 200
    });
    for path in ["x", "x/request", "x/y", "%ff", "%ff/request"] {
        let path = format!("/api/v1/dead-letters/{path}");
        let answer = client::send(relay.admin(), &Request::get(&path));
        assert_eq!(answer.status(), 400, "{path}");
        assert!(answer.json()["error"].is_string(), "{path}");
        let by_page = Request::get(&path).field("Origin", "http://evil.example");
        assert_eq!(client::send(relay.admin(), &by_page).status(), 403);
    }
}

#[test]
fn what_changes_something_or_tells_a_profile_is_not_for_everybody() {
    let home = home();
    let target = picky();
    let relay = keeping(home.path())
        .yaml("admin-token: \"let-me-in\"")
        .target("central", &target, &[])
        .spawn();
    send(&relay, &["bad400"]);
    has(&relay, 1);
    let letters = letters(&["--admin", &relay.admin().to_string()]);
    let id = id(&letters[0]);
    let order = json!({ "ids": [id] }).to_string();
    let path = |rest: &str| format!("/api/v1/dead-letters/{rest}");
    let ask = |request: Request| client::send(relay.admin(), &request);
    let bearer = |request: Request| request.field("Authorization", "Bearer let-me-in");
    let of_request = path(&format!("{id}/request"));
    for request in [
        Request::post(&path("purge"), order.as_bytes()),
        Request::post(&path("replay"), order.as_bytes()),
        Request::post(&of_request, b""),
        Request::get(&of_request),
        Request::get(&path(id)),
    ] {
        let refused = ask(request.clone());
        assert_eq!(refused.status(), 401, "{request:?}");
        assert_eq!(refused.head.get("www-authenticate").unwrap(), "Bearer");
        let text = refused.json()["error"].to_string();
        assert!(text.contains("PYROTEE_ADMIN_TOKEN"), "{text}");
        for (field, value, status) in [
            ("Authorization", "Bearer guess", 401),
            ("Origin", "http://evil.example", 403),
            ("Sec-Fetch-Site", "cross-site", 403),
        ] {
            let request = match field {
                "Authorization" => request.clone(),
                _ => bearer(request.clone()),
            };
            let refused = ask(request.field(field, value));
            assert_eq!(refused.status(), status, "{field} {value}");
        }
    }
    has(&relay, 1);
    for request in [Request::get(&of_request), Request::post(&of_request, b"")] {
        let answer = ask(bearer(request));
        assert_eq!(answer.status(), 200);
        assert!(answer.body.data.ends_with(b"\r\n\r\nbody of bad400"));
        let length = answer.body.data.len().to_string();
        assert_eq!(answer.head.get("content-length"), Some(length));
    }
    assert_eq!(ask(bearer(Request::get(&path(id)))).status(), 200);
    for rest in ["purge", "replay"] {
        assert_eq!(ask(bearer(Request::get(&path(rest)))).status(), 405);
    }
    let put = ask(bearer(Request::new("PUT", &of_request)));
    assert_eq!(put.status(), 405);
    let purge = |order: &[u8]| ask(bearer(Request::post(&path("purge"), order))).status();
    for order in ["", "[]", "{}", "{\"ids\":\"x\"}"] {
        assert_eq!(purge(order.as_bytes()), 400, "{order}");
    }
    let many = json!({ "ids": vec![id; 1_001] }).to_string();
    assert_eq!(purge(many.as_bytes()), 413);
}

#[test]
fn many_readers_of_one_letter_do_not_take_memory_for_it_each() {
    const MIB: usize = 1024 * 1024;
    let home = home();
    let target = picky();
    let relay = keeping(home.path())
        .yaml("memory-limit: 64MiB")
        .target("central", &target, &[])
        .spawn();
    let profile = client::noise(16 * MIB);
    let request = Request::post("/ingest?name=bad400&from=now-10s", &profile);
    assert_eq!(relay.send(&request).status(), 200);
    has(&relay, 1);
    let letters = letters(&["--admin", &relay.admin().to_string()]);
    let path = format!("/api/v1/dead-letters/{}", id(&letters[0]));
    let of_request = format!("{path}/request");
    let before = relay.rss_peak();

    let ask = |path: &str| client::send(relay.admin(), &Request::get(path));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(matches!(ask(&path).status(), 200 | 503));
                }
            });
        }
    });
    let detail = ask(&path).json();
    assert_eq!(detail["body_bytes"], 16 * MIB);

    // Each reader sends a request, and then reads only the head of the response.
    let ask_slowly = |_| {
        let mut client = client::Client::connect(relay.admin());
        client.send(&Request::get(&of_request).bytes());
        client
    };
    let mut slow: Vec<_> = (0..12).map(ask_slowly).collect();
    let statuses = slow
        .iter_mut()
        .map(|client| client.wire().head().unwrap().unwrap());
    let (served, refused): (Vec<_>, Vec<_>) = statuses.partition(|head| head.status() == 200);
    assert_eq!(served.len(), 4);
    for head in refused {
        assert_eq!(
            (head.status(), head.get("retry-after")),
            (503, Some("1".to_owned()))
        );
    }
    assert_eq!(
        ask(&path).status(),
        200,
        "what is not the whole request is told"
    );
    drop(slow);
    eventually(SOON, "the places of the slow readers are free", || {
        let answer = ask(&of_request);
        answer.status() == 200 && answer.body.data.ends_with(&profile)
    });
    let taken = relay.rss_peak().saturating_sub(before);
    assert!(taken < 10 << 20, "{taken} bytes");
}

#[test]
fn a_list_comes_in_pages() {
    let home = home();
    let target = picky();
    let relay = keeping(home.path()).target("central", &target, &[]).spawn();
    send(&relay, &["bad400"; 5]);
    has(&relay, 5);
    let get = |query: &str| {
        let path = format!("/api/v1/dead-letters?{query}");
        client::send(relay.admin(), &Request::get(&path))
    };
    let first = get("limit=3").json();
    assert_eq!(
        (first["letters"].as_array().unwrap().len(), &first["total"]),
        (3, &json!(5))
    );
    assert_eq!(first["limit_bytes"], 64 << 20);
    let before = id(&first["letters"][2]).to_owned();
    let second = get(&format!("limit=3&before={before}")).json();
    assert_eq!(second["letters"].as_array().unwrap().len(), 2);
    assert!(id(&second["letters"][0]) < &*before);
    assert_eq!(get("target=nobody").json()["letters"], json!([]));
    assert_eq!(get("limit=many").status(), 400);
    assert_eq!(get("before=x").status(), 400);
}

#[test]
fn where_none_are_kept_that_is_said() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &[])
        .spawn();
    let error = badly(&["ls", "--admin", &relay.admin().to_string()]);
    assert!(error.contains("set dead-letters.dir"), "{error}");
    let config = relay.home().join("pyrotee.yaml");
    let error = badly(&["ls", "--config", config.to_str().unwrap()]);
    assert!(error.contains("keeps no dead letters"), "{error}");
    assert!(!relay.metrics().text().contains(&format!("\n{KEPT}")));
}

#[test]
fn a_target_that_nobody_knows_is_a_fault_and_one_that_was_removed_is_not() {
    let home = home();
    let dir = home.path().join("letters");
    let target = picky();
    let mut relay = keeping(&dir).target("central", &target, &[]).spawn();
    send(&relay, &["bad400"]);
    has(&relay, 1);
    let admin = relay.admin().to_string();
    let config = relay.home().join("pyrotee.yaml");
    let (admin, config) = (["--admin", &admin], ["--config", config.to_str().unwrap()]);
    let without = ["--dir", dir.to_str().unwrap()];
    let to = ["--to", "http://127.0.0.1:1"];
    let typo = |command: &str, more: &[&str]| {
        let args = ["dead-letters", command, "--target", "typo"];
        pyrotee(&[&args[..], more].concat())
    };
    let refused = |done: command::Done| {
        assert_eq!(done.code, Some(2), "{done:?}");
        let says = "has no target `typo`; there are: central";
        assert!(done.err.contains(says), "{done:?}");
    };
    for command in ["ls", "purge", "replay"] {
        refused(typo(command, &admin));
    }
    relay.sigterm();
    relay.wait(SOON).expect("it stops");
    for (command, more) in [("ls", &[][..]), ("purge", &[]), ("replay", &to)] {
        refused(typo(command, &[&config[..], more].concat()));
    }
    // Without a configuration, `typo` may be a target that has no letters at the moment.
    let done = typo("purge", &without);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.err
            .contains("warning: the directory has no target `typo`"),
        "{done:?}"
    );

    // A target without letters is no fault; nor is a removed one with letters.
    let purge = |more: &[&str]| {
        pyrotee(&[&["dead-letters", "purge", "--target", "central"][..], more].concat())
    };
    fs::write(
        relay.home().join("pyrotee.yaml"),
        format!("dead-letters: {{ dir: \"{}\" }}\nremote-write: {{ targets: {{ other: {{ address: \"http://a\" }} }} }}\n", dir.display()),
    )
    .unwrap();
    let done = purge(&config);
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "1 of 1 purged\n"),
        "{done:?}"
    );
    assert_eq!(purge(&config).code, Some(2));
}
