//! Certificates and authorities of three relays that change every second, while clients of every kind send profiles.
//! The edge relay has both the upstream and the target behind relays that require its certificate.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use tempfile::TempDir;

use super::secret::{Authorities, Secret, rotations};
use crate::support::{
    Relay, Request, SOON, TlsClient, TlsHttp2, Upstream, eventually,
    h2::{self, GrpcUpstream},
    key::Key,
    poll,
    tls_client::der,
    upstream,
};

/// Time from one rotation to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(20);

/// A relay that requires the certificate of `secret`'s authorities.
fn inner(secret: &Secret, upstream: Option<&str>, target: Option<&Upstream>) -> Relay {
    let builder = Relay::builder().yaml(&format!(
        "listen-tls: {}\nreload: {{ interval: 100ms }}",
        secret.keys("client-ca-file")
    ));
    let builder = match upstream {
        Some(address) => builder.upstream_address(address),
        None => builder.remote_write("disable-local-writes: true"),
    };
    match target {
        Some(target) => builder.target("store", target, &[]).spawn(),
        None => builder.spawn(),
    }
}

fn https(relay: &Relay) -> String {
    format!("https://localhost:{}", relay.addr().port())
}

/// What the clients share.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    sent: AtomicUsize,
    /// Connections that resumed a session of an earlier one.
    resumed: AtomicUsize,
    /// The last rotation that a new connection has shown: no later connection may show an older one.
    in_force: AtomicUsize,
}

/// Ends the load also if the test fails.
struct EndGuard<'a>(&'a Load);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

impl Load {
    /// Calls `send` with the name of each profile until the load is over.
    fn run(&self, client: &str, mut send: impl FnMut(&str) -> u16) {
        for nth in 0.. {
            if self.is_over.load(SeqCst) {
                return;
            }
            let name = format!("{client}-{nth}");
            assert_eq!(send(&name), 200, "{name}");
            self.sent.fetch_add(1, SeqCst);
            thread::sleep(PAUSE);
        }
    }
}

fn profile(name: &str) -> Request {
    Request::profile(name, name.as_bytes())
}

fn path(name: &str) -> String {
    format!("/ingest?name={name}&from=1795397490&until=1795397500")
}

/// The names of all profiles; each arrived once.
fn names(stand_in: &Upstream) -> BTreeSet<String> {
    let requests = stand_in.requests();
    let name = |request: &upstream::Request| Key::of(&request.head.query()).app;
    let names: BTreeSet<_> = requests.iter().map(name).collect();
    assert_eq!(names.len(), requests.len(), "no profile arrived twice");
    names
}

#[test]
fn certificates_and_authorities_that_change_every_second_stop_no_profile() {
    let home = TempDir::new().expect("a temporary directory can be made");
    let authorities = Authorities::new();
    let mut secrets = ["edge", "local", "central"]
        .map(|relay| Secret::new(&home.path().join(relay), &authorities));
    let (pyroscope, store) = (Upstream::ok(), Upstream::ok());
    let local = inner(&secrets[1], Some(&pyroscope.url()), None);
    let central = inner(&secrets[2], None, Some(&store));
    let outward = format!("tls: {}", secrets[0].keys("ca-file"));
    let edge = Relay::builder()
        .yaml(&format!(
            "listen-tls: {}\nreload: {{ interval: 100ms }}",
            secrets[0].keys("client-auth: request, client-ca-file")
        ))
        .upstream_address(&https(&local))
        .upstream_option(&outward)
        .target_address("central", &https(&central), &[&outward])
        .spawn();

    let (load, relays) = (Load::default(), [&edge, &local, &central]);
    let edge_pairs: Vec<_> = secrets[0]
        .pairs
        .iter()
        .map(|pair| der(&pair.cert))
        .collect();
    let config = authorities.client(None);
    let is_fresh = |shown: &[u8], in_force: usize| {
        let rotation = edge_pairs.iter().position(|pair| pair == shown);
        assert!(rotation.expect("of the edge") >= in_force, "{in_force}");
    };
    thread::scope(|scope| {
        let _end = EndGuard(&load);
        scope.spawn(|| {
            let client = TlsClient::new(config.clone());
            load.run("new", |name| {
                let in_force = load.in_force.load(SeqCst);
                let mut connection = client.connect(edge.addr()).expect(name);
                is_fresh(&connection.server_certificate(), in_force);
                let resumed = usize::from(connection.is_resumed());
                load.resumed.fetch_add(resumed, SeqCst);
                connection.exchange(&profile(name)).expect(name).status()
            });
        });
        scope.spawn(|| {
            let client = TlsClient::new(config.clone());
            let mut kept = client.connect(edge.addr()).unwrap();
            load.run("kept", |name| {
                kept.exchange(&profile(name)).expect(name).status()
            });
        });
        scope.spawn(|| {
            load.run("new-h2", |name| {
                let in_force = load.in_force.load(SeqCst);
                let mut connection = TlsHttp2::connect(config.clone(), edge.addr()).expect(name);
                is_fresh(connection.server_certificate(), in_force);
                connection.post(&path(name), name.as_bytes()).expect(name)
            });
        });
        scope.spawn(|| {
            let mut kept = TlsHttp2::connect(config.clone(), edge.addr()).unwrap();
            load.run("kept-h2", |name| {
                kept.post(&path(name), name.as_bytes()).expect(name)
            });
        });
        for rotation in 1..=rotations() {
            let started = Instant::now();
            for secret in &mut secrets {
                secret.rotate(rotation, &authorities);
            }
            let probe = authorities.client(Some(&secrets[0].pairs[rotation]));
            for (relay, secret) in relays.iter().zip(&secrets) {
                let shown = poll(SOON, || {
                    // Without a session of an earlier connection.
                    let client = TlsClient::new(probe.clone());
                    let shown = client.connect(relay.addr()).unwrap().server_certificate();
                    (secret.rotation_of(&shown) == rotation).then_some(())
                });
                assert!(shown.is_some(), "rotation {rotation} is not in force");
            }
            load.in_force.store(rotation, SeqCst);
            thread::sleep(PERIOD.saturating_sub(started.elapsed()));
        }
    });

    let sent = load.sent.load(SeqCst);
    assert!(sent > 4 * rotations(), "{sent} profiles are too few");
    assert!(load.resumed.load(SeqCst) > 0, "no session was resumed");
    let ledger = edge.wait_ledger("central", "delivery", |ledger| {
        ledger.sent.profiles == sent as u64
    });
    assert_eq!(ledger.lost().profiles, 0);
    store.wait_for(sent, SOON);
    assert_eq!(names(&store), names(&pyroscope));
    assert_eq!(names(&store).len(), sent);
    for relay in relays {
        let (metrics, log) = (relay.metrics(), relay.output());
        for errors in [
            "pyroscope_relay_tls_handshake_errors_total",
            "pyroscope_relay_upstream_errors_total",
            "pyroscope_remote_write_request_errors_total",
            "pyroscope_remote_write_ambiguous_total",
        ] {
            assert_eq!(metrics.sum(errors, &[]), 0.0, "{errors}: {log}");
        }
        assert!(!log.contains("keeps its last good content"), "{log}");
    }
}

#[test]
fn grpc_calls_go_on_while_the_certificates_of_both_sides_change() {
    let home = TempDir::new().expect("a temporary directory can be made");
    let authorities = Authorities::new();
    let mut secrets =
        ["edge", "local"].map(|relay| Secret::new(&home.path().join(relay), &authorities));
    let pyroscope = GrpcUpstream::start();
    let local = inner(&secrets[1], Some(&pyroscope.url()), None);
    let edge = Relay::builder()
        .yaml("reload: { interval: 100ms }")
        .upstream_address(&https(&local))
        .upstream_option(&format!("tls: {}", secrets[0].keys("ca-file")))
        .spawn();
    let load = Load::default();
    thread::scope(|scope| {
        let _end = EndGuard(&load);
        scope.spawn(|| load.run("call", |name| call(&edge, name)));
        for rotation in 1..=rotations() {
            for secret in &mut secrets {
                secret.rotate(rotation, &authorities);
            }
            eventually(SOON, "the new files of the edge", || {
                taken(&edge) == rotation
            });
            thread::sleep(PERIOD / 2);
        }
    });
    assert_eq!(pyroscope.requests().len(), load.sent.load(SeqCst));
}

/// How many certificates for the upstream a relay has put in force since its start.
fn taken(relay: &Relay) -> usize {
    let log = relay.output();
    log.matches("\"upstream.tls.cert-file\"").count()
}

/// Calls the upstream, and returns the status of a call that succeeded.
fn call(relay: &Relay, name: &str) -> u16 {
    let request = hyper::Request::post(format!("http://{}/a.B/C", relay.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::copy_from_slice(name.as_bytes())))
        .expect("a request");
    let response = h2::send(relay.addr(), request);
    let status = response.trailers.get("grpc-status");
    assert_eq!(status.expect(name), "0", "{name}");
    assert_eq!(response.body, name.as_bytes());
    response.head.status.as_u16()
}
