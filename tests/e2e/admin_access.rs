//! Names of the admin listener.

use crate::support::{Relay, Request, Upstream, client};

const PURGE: &str = "/api/v1/purge?target=central";

#[test]
fn a_foreign_name_gets_a_421_but_for_probes_and_scrapes() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &[])
        .spawn();
    let ask = |path: &str, host: &str| {
        client::send(relay.admin(), &Request::get(path).field("Host", host)).status()
    };
    for host in [
        "127.0.0.1",
        "[::1]:4041",
        "LOCALHOST.:1",
        "pyrotee-admin",
        "pyrotee-admin.observability.svc",
        "a.b.svc.cluster.local:4041",
        "relay.example",
    ] {
        assert_eq!(ask("/api/v1/status", host), 200, "{host}");
    }
    for host in [
        "evil.example:4041",
        "127.0.0.1.evil.example",
        "sub.relay.example",
    ] {
        for path in ["/", "/api/v1/status", "/api/v1/dead-letters", "/x"] {
            assert_eq!(ask(path, host), 421, "{host} {path}");
        }
        for path in ["/metrics", "/-/healthy", "/-/ready"] {
            assert_eq!(ask(path, host), 200, "{host} {path}");
        }
    }
    let foreign = Request::new("POST", PURGE).field("Host", "evil.example");
    let foreign = client::send(relay.admin(), &foreign);
    assert_eq!(foreign.status(), 421);
    let text = foreign.json()["error"].to_string();
    assert!(
        text.contains("evil.example") && text.contains("admin-hosts"),
        "{text}"
    );

    for (request, status) in [
        ("GET /api/v1/status HTTP/1.0\r\n\r\n", 200),
        (
            "GET /api/v1/status HTTP/1.1\r\nConnection: close\r\n\r\n",
            200,
        ),
        (
            "GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
            421,
        ),
        (
            "GET http://localhost/api/v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            200,
        ),
        (
            "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
            421,
        ),
    ] {
        let answer = client::send_raw(relay.admin(), request.as_bytes());
        assert_eq!(answer.status(), status, "{request}");
    }
}
