//! Certificates that are renewed, on both sides, while profiles are sent.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    clients::{Client, TRUSTING, UPLOAD},
    files::{CA, Files, Shown, serial},
    in_front::{InFront, VALID as PASSING},
    incoming::{asking, relay},
    process::{go, run},
    servers::{Listener, Make, Servers, VALID},
};
use crate::{
    support::{Ledger, LiveFile, Relay, Request, SOON, Upstream, eventually, nightly},
    tools::command,
};

/// How often certificates are renewed, and for how long each is in use at least. The relay looks for new files every
/// 50 ms.
fn rounds() -> (u32, Duration) {
    match nightly() {
        true => (60, Duration::from_secs(1)),
        false => (10, Duration::from_millis(300)),
    }
}

/// A server that requires certificates of the relay's authority.
const REQUIRING: Listener = Listener {
    clients: "on",
    client_ca: "relay-ca.crt",
    ..VALID
};

/// Certificates of the relay, and certificates of an upstream and two targets, by different authorities.
struct Rig {
    own: Files,
    theirs: Files,
    servers: [Servers; 3],
    backends: [Upstream; 3],
    relay: Relay,
}

impl Rig {
    /// The order is upstream (nginx), `nginx`, `go`.
    fn start() -> Self {
        let (own, theirs) = (Files::new(), Files::new());
        theirs.write("relay-ca.crt", &fs::read_to_string(own.path(CA)).unwrap());
        let backends = [(); 3].map(|()| Upstream::ok());
        let makes = [Make::Nginx, Make::Nginx, Make::Go];
        let start =
            |index: usize| Servers::start(makes[index], &[REQUIRING], &theirs, &backends[index]);
        let servers = [0, 1, 2].map(start);
        let address = |index: usize| format!("https://localhost:{}", servers[index].port(0));
        let (ca, keys) = (theirs.path(CA), own.keys(Shown::Valid));
        let keys = format!("tls: {{ ca-file: {ca}, {keys} }}");
        let relay = Relay::builder()
            .upstream_address(&address(0))
            .upstream_option(&keys)
            .yaml("reload: { interval: 50ms }")
            .target_address("nginx", &address(1), &[&keys])
            .target_address("go", &address(2), &[&keys])
            .spawn();
        Self {
            own,
            theirs,
            servers,
            backends,
            relay,
        }
    }

    fn send(&self, number: u64) {
        let profile = Request::profile(&format!("app{number}"), b"profile");
        assert_eq!(self.relay.send(&profile).status(), 200);
    }

    /// Waits until the targets have so many profiles. None was lost, and no handshake failed.
    fn delivered(&self, count: u64) {
        for name in ["nginx", "go"] {
            let sent = |ledger: &Ledger| ledger.sent.profiles == count;
            let ledger = self.relay.wait_ledger(name, "all sent", sent);
            assert_eq!(ledger.lost().profiles, 0, "{name}: {ledger:?}");
        }
        let metrics = self.relay.metrics();
        for errors in [
            "pyroscope_remote_write_request_errors_total",
            "pyroscope_relay_upstream_errors_total",
        ] {
            assert_eq!(metrics.sum(errors, &[("kind", "tls")]), 0.0, "{errors}");
        }
    }

    /// The serials of the certificates that the relay showed to one server, in the order of the requests.
    fn serials(&self, index: usize) -> Vec<String> {
        let requests = self.backends[index].requests().into_iter();
        let serial = requests.map(|it| it.head.get("x-client-serial").unwrap_or_default());
        serial.collect()
    }
}

#[test]
fn certificates_of_the_relay_and_its_servers_rotate_under_load() {
    let rig = Rig::start();
    let (rounds, round) = rounds();
    let mut sent = 0;
    for _ in 0..rounds {
        rig.own.renew();
        rig.theirs.renew();
        rig.servers[0].reload();
        rig.servers[1].reload();
        let newest = rig.own.serial(Shown::Valid);
        let started = Instant::now();
        eventually(SOON, "all servers see the new certificate", || {
            rig.send(sent);
            sent += 1;
            let seen = |index| rig.serials(index).last() == Some(&newest);
            started.elapsed() >= round && (0..3).all(seen)
        });
    }
    rig.delivered(sent);
}

#[test]
fn half_of_a_new_pair_changes_nothing_for_servers() {
    let rig = Rig::start();
    rig.send(0);
    rig.delivered(1);
    let (old, new) = (rig.own.serial(Shown::Valid), rig.own.issue());
    let cert = LiveFile::new(rig.own.cert(Shown::Valid).as_ref());
    let key = LiveFile::new(rig.own.key(Shown::Valid).as_ref());
    cert.write_in_two_parts(&new.cert, new.cert.len() / 2, || {
        is_stale(&rig.relay);
        rig.send(1);
        rig.delivered(2);
    });
    rig.send(2);
    rig.delivered(3);
    key.write_in_two_parts(&new.key, new.key.len() / 2, || rig.send(3));
    rig.delivered(4);
    let new = rig.own.serial(Shown::Valid);
    let mut sent = 4;
    eventually(SOON, "the new pair is in force", || {
        rig.send(sent);
        sent += 1;
        rig.delivered(sent);
        (0..3).all(|index| rig.serials(index).last() == Some(&new))
    });
    for index in 0..3 {
        assert_eq!(rig.serials(index)[..3], [old.as_str(); 3], "{index}");
    }
}

#[test]
fn no_client_notices_that_the_certificate_of_the_relay_rotates() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, &asking(&files, "request"), &target);
    let nginx = InFront::start(relay.addr(), &files, &[PASSING]);
    let (rounds, round) = rounds();
    let seconds = (round * rounds).as_secs_f64().to_string();
    // Kept connections of both versions, and new connections with resumed sessions.
    let senders = [
        &["-http1"][..],
        &[],
        &["-http1", "-fresh"],
        &["-max", "1.2", "-fresh"],
    ];
    let senders = senders.map(|arguments| {
        let mut sender = go(&["send", "-seconds", &seconds, "-ca", &files.path(CA)]);
        sender.args(arguments);
        sender.arg(format!("https://localhost:{}{UPLOAD}", relay.addr().port()));
        sender.stdout(Stdio::piped()).spawn().expect("it was built")
    });
    for _ in 0..rounds {
        let started = Instant::now();
        files.renew();
        let new = files.serial(Shown::Valid);
        assert_eq!(nginx.send(0), 200);
        eventually(SOON, "the new certificate is in force", || {
            shown(&relay) == new
        });
        assert_eq!(nginx.send(0), 200);
        thread::sleep(round.saturating_sub(started.elapsed()));
    }
    for sender in senders {
        let output = sender.wait_with_output().expect("the child is ours");
        let output = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let answers: Vec<Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect();
        assert!(!answers.is_empty(), "{output}");
        assert!(answers.iter().all(|it| it["Status"] == 200), "{output}");
    }
    let errors = "pyroscope_relay_tls_handshake_errors_total";
    assert_eq!(relay.metrics().sum(errors, &[]), 0.0, "{}", relay.output());
}

#[test]
fn half_of_a_new_pair_changes_nothing_for_clients() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, "", &target);
    let (old, new) = (files.serial(Shown::Valid), files.issue());
    let cert = LiveFile::new(files.cert(Shown::Valid).as_ref());
    let key = LiveFile::new(files.key(Shown::Valid).as_ref());
    let accepted = || {
        for client in Client::ALL {
            let (accepted, output) = client.send(relay.addr().port(), &files, &TRUSTING);
            assert!(accepted, "{client:?}: {output}");
        }
    };
    let is_kept = |step: &str| {
        is_stale(&relay);
        assert_eq!(shown(&relay), old, "{step}");
        accepted();
    };
    cert.write_in_two_parts(&new.cert, new.cert.len() / 2, || is_kept("half a file"));
    is_kept("a certificate without its key");
    key.write_in_two_parts(&new.key, new.key.len() / 2, || is_kept("half a key"));
    let new = files.serial(Shown::Valid);
    eventually(SOON, "the new pair is in force", || shown(&relay) == new);
    accepted();
    assert!(!relay.output().contains("PRIVATE KEY"));
}

/// Waits until the relay says that files on the disk are not in force.
fn is_stale(relay: &Relay) {
    eventually(SOON, "the files are stale", || {
        relay.config_metric("stale_files") > 0.0
    });
}

/// The serial number of the certificate that the relay shows to a new client.
fn shown(relay: &Relay) -> String {
    let address = relay.addr().to_string();
    let mut client = command("openssl", &["s_client", "-connect", &address]);
    let (output, _) = run(client.stdin(Stdio::null()));
    serial(output.as_bytes())
}
