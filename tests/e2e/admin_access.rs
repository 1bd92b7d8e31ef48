//! Access to the admin listener: the token, proxies in front of the listener, and its names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::support::{
    Relay, Request, Rig, Upstream, client,
    command::{Done, pyrotee, run},
};

const PURGE: &str = "/api/v1/purge?target=central";

fn with_token(target: &Upstream) -> Relay {
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml("admin-token: let-me-in")
        .target("central", target, &[])
        .spawn()
}

fn purge(relay: &Relay, fields: &[(&str, &str)]) -> client::Response {
    let request = Request::new("POST", PURGE);
    let request = fields
        .iter()
        .fold(request, |request, (name, value)| request.field(name, value));
    client::send(relay.admin(), &request)
}

#[test]
fn once_a_token_is_set_loopback_needs_it_too() {
    let target = Upstream::ok();
    let relay = with_token(&target);
    for (fields, status) in [
        (&[][..], 401),
        (&[("Authorization", "Bearer guess")], 401),
        (&[("Authorization", "Basic let-me-in")], 401),
        (&[("X-Forwarded-For", "127.0.0.1")], 401),
        (&[("Authorization", "Bearer let-me-in")], 200),
    ] {
        assert_eq!(purge(&relay, fields).status(), status, "{fields:?}");
    }
    // The sidecar of a service mesh forwards requests of other machines from this loopback address.
    let from = Ipv4Addr::new(127, 0, 0, 6);
    let mut sidecar = client::Client::connect_from(from, relay.admin());
    assert_eq!(sidecar.exchange(&Request::new("POST", PURGE)).status(), 401);
    for path in ["/metrics", "/api/v1/status", "/api/v1/dead-letters", "/"] {
        let open = client::send(relay.admin(), &Request::get(path)).status();
        assert!(matches!(open, 200 | 404), "{path}: {open}");
    }
}

#[test]
fn without_a_token_what_a_proxy_forwarded_may_not_change_anything() {
    let rig = Rig::new();
    assert_eq!(purge(&rig.relay, &[]).status(), 200);
    for name in [
        "X-Forwarded-For",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Envoy-Attempt-Count",
    ] {
        let refused = purge(&rig.relay, &[(name, "1")]);
        assert_eq!(refused.status(), 403, "{name}");
        let text = refused.json()["error"].to_string();
        assert!(text.contains("admin-token"), "{text}");
        let status = Request::get("/api/v1/status").field(name, "1");
        assert_eq!(client::send(rig.relay.admin(), &status).status(), 200);
    }
}

/// An address of this machine that is not loopback, if it has one: the one that packets to the outside leave by.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn commands_take_the_token_from_the_environment_or_a_configuration() {
    let target = Upstream::ok();
    let relay = with_token(&target);
    let admin = relay.admin().to_string();
    let purge = ["spool", "purge", "--admin", &admin, "--target", "central"];
    let with = |args: &[&str], environment: &[(&str, &str)]| -> Done {
        run("admin-token: let-me-in\n", args, environment)
    };
    let refused = ["401", "PYROTEE_ADMIN_TOKEN", "--config", "PYROTEE_CONFIG"];
    pyrotee(&purge).expect(1, &refused);
    with(&purge, &[("PYROTEE_ADMIN_TOKEN", "")]).expect(1, &refused);
    with(&purge, &[("PYROTEE_ADMIN_TOKEN", "guess")]).expect(1, &["401"]);

    let file = ("PYROTEE_CONFIG", "pyrotee.yaml");
    let by_flag = [&purge[..], &["--config", "pyrotee.yaml"]].concat();
    let done = ["central: lost 0 profiles"];
    with(&purge, &[("PYROTEE_ADMIN_TOKEN", "let-me-in")]).expect(0, &done);
    with(&purge, &[file]).expect(0, &done);
    with(&purge, &[("PYROTEE__ADMIN_TOKEN", "let-me-in")]).expect(0, &done);
    with(&by_flag, &[]).expect(0, &done);
    // The environment takes precedence over the configuration.
    with(&by_flag, &[("PYROTEE_ADMIN_TOKEN", "guess")]).expect(1, &["401"]);

    // A configuration with faults matters only when a request needs the token.
    let faulty = ("PYROTEE_CONFIG", "none.yaml");
    with(&purge, &[faulty]).expect(1, &["401", "pyrotee check"]);
    with(&["status", "--admin", &admin], &[faulty]).expect(0, &["central"]);
    let by_flag = [&purge[..], &["--config", "none.yaml"]].concat();
    with(&by_flag, &[]).expect(2, &["none.yaml"]);
}

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

#[test]
fn another_machine_may_read_the_status_but_not_change_anything_without_a_token() {
    let Some(address) = outer_address() else {
        eprintln!("this machine has no address but loopback");
        return;
    };
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .env("PYROTEE__ADMIN", ":0")
        .target("central", &target, &[])
        .spawn();
    let admin = SocketAddr::new(address, relay.admin().port());
    let ask = |request: &Request| client::send(admin, request).status();
    assert_eq!(ask(&Request::get("/api/v1/status")), 200);
    assert_eq!(ask(&Request::new("POST", PURGE)), 403);
    assert_eq!(
        ask(&Request::get("/api/v1/dead-letters/x/request")),
        404,
        "none are kept"
    );
}
