//! The listener for metrics and health.

use crate::support::{Answer, Relay, Request, Rig, SOON, Upstream, client, eventually};

#[test]
fn what_there_is_can_be_found_from_the_root() {
    let rig = Rig::new();
    let ask = |path: &str| client::send(rig.relay.admin(), &Request::get(path));
    let index = String::from_utf8(ask("/").body.data).unwrap();
    for path in ["/metrics", "/api/v1/status", "/-/healthy", "/-/ready"] {
        assert!(index.contains(path), "{path}: {index}");
        assert_eq!(ask(path).status(), 200, "{path}");
    }
    assert_eq!(ask("/metrics?x=1").status(), 200);
}

#[test]
fn other_paths_are_a_404_and_other_methods_a_405() {
    let rig = Rig::new();
    let ask = |request: &Request| client::send(rig.relay.admin(), request);
    for path in ["/x", "/metrics/", "/ingest?name=a", "/-/", "/-/reload/"] {
        assert_eq!(ask(&Request::get(path)).status(), 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = client::Client::connect(rig.relay.admin())
            .send(&Request::new(method, "/metrics").bytes())
            .receive_for(method);
        assert_eq!(answer.status(), 405, "{method}");
        assert!(answer.head.has("allow"), "{method}");
    }
    let profile = Request::profile("app", b"profile");
    assert!(matches!(ask(&profile).status(), 404 | 405));
    assert!(rig.upstream.arrivals().is_empty() && rig.target.arrivals().is_empty());
}

#[test]
fn a_405_names_the_methods_of_its_path_and_no_other_response_does() {
    let rig = Rig::new();
    let ask = |request: Request| client::send(rig.relay.admin(), &request);
    let allow = |path: &str| {
        let answer = ask(Request::new("PUT", path));
        assert_eq!(answer.status(), 405, "{path}");
        answer.head.get("allow").unwrap()
    };
    for path in [
        "/",
        "/metrics",
        "/-/ready",
        "/api/v1/status",
        "/api/v1/spool",
        "/x",
    ] {
        assert_eq!(allow(path), "GET, HEAD", "{path}");
    }
    for path in ["purge", "spool/purge", "spool/replay"] {
        assert_eq!(allow(&format!("/api/v1/{path}")), "POST", "{path}");
    }
    assert_eq!(allow("/-/reload"), "POST");
    // Refused by a layer around the route, or by the extractor of a handler.
    let foreign = Request::new("PUT", "/api/v1/purge").field("Host", "evil.example");
    let not_kept = Request::new("PUT", "/api/v1/dead-letters/purge");
    for (request, status) in [(foreign, 421), (not_kept, 404)] {
        let refused = ask(request);
        assert_eq!(refused.status(), status);
        assert!(!refused.head.has("allow"), "{status}");
        assert!(refused.json()["error"].is_string(), "{status}");
    }
}

#[test]
fn of_a_parameter_that_is_repeated_the_first_value_counts() {
    let rig = Rig::new();
    let purge = |query: &str| {
        let path = format!("/api/v1/purge?{query}");
        client::send(rig.relay.admin(), &Request::new("POST", &path)).status()
    };
    assert_eq!(purge("target=central&target=nobody"), 200);
    assert_eq!(purge("target=%63entral"), 200);
    assert_eq!(purge("target=nobody&target=central"), 404);
}

#[test]
fn a_purge_loses_what_waits_and_counts_it() {
    let target = Upstream::answering(Answer::status(503, b"later"));
    let rig = Rig::with(Upstream::ok(), target, &[], |builder| builder);
    for _ in 0..3 {
        rig.send(&Request::profile("app", b"profile"));
    }
    let ask = |request: &Request| client::send(rig.relay.admin(), request);
    let purge = |query: &str| ask(&Request::new("POST", &format!("/api/v1/purge{query}")));

    let unknown = purge("?target=nobody");
    assert_eq!(unknown.status(), 404);
    let text = String::from_utf8(unknown.body.data).unwrap();
    assert!(
        text.contains("`nobody`") && text.contains("central"),
        "{text}"
    );
    assert_eq!(purge("").status(), 404);
    assert_eq!(
        ask(&Request::get("/api/v1/purge?target=central")).status(),
        405
    );
    let from_a_page = Request::new("POST", "/api/v1/purge?target=central");
    let from_a_page = from_a_page.field("Origin", "http://evil.example");
    assert_eq!(ask(&from_a_page).status(), 403);

    // One profile may be in flight at any moment.
    eventually(SOON, "all three are purged", || {
        let purged = purge("?target=central");
        assert_eq!(purged.status(), 200);
        assert!(purged.json()["profiles"].as_u64() <= Some(3));
        rig.relay.ledger("central").dropped("admin").profiles == 3
    });
    assert_eq!(rig.relay.ledger("central").pending.profiles, 0);
}

#[test]
fn a_head_has_no_body() {
    let rig = Rig::new();
    let mut client = client::Client::connect(rig.relay.admin());
    for _ in 0..2 {
        let answer = client.exchange(&Request::new("HEAD", "/metrics"));
        assert_eq!((answer.status(), answer.body.data.len()), (200, 0));
    }
}

#[test]
fn nothing_of_it_is_reachable_through_the_listener_of_the_clients() {
    let upstream = Upstream::answering(Answer::status(200, b"of the upstream"));
    let rig = Rig::with(upstream, Upstream::ok(), &[], |builder| builder);
    for path in ["/metrics", "/api/v1/status", "/-/healthy", "/-/ready", "/"] {
        let answer = rig.send(&Request::get(path));
        assert_eq!(answer.body.data, b"of the upstream", "{path}");
    }
    assert_eq!(rig.upstream.requests().len(), 5);
}

#[test]
fn without_an_upstream_they_are_a_404_there() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &[])
        .spawn();
    for path in ["/metrics", "/api/v1/status", "/-/ready"] {
        assert_eq!(relay.send(&Request::get(path)).status(), 404, "{path}");
    }
}

#[test]
fn a_client_that_closes_its_side_after_the_request_gets_its_answer() {
    let rig = Rig::new();
    for path in ["/-/healthy", "/metrics"] {
        let mut client = client::Client::connect(rig.relay.admin());
        client.send(&Request::get(path).bytes());
        client.wire().finish().unwrap();
        assert_eq!(client.receive().status(), 200, "{path}");
        assert!(client.wire().closed(), "{path}");
    }
}
