//! Clients that hold connections of the admin listener and complete no request: probes and scrapes are still answered
//! in time.

use std::{net::SocketAddr, net::TcpStream, time::Duration};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{self, AddressFamily, SocketType};

use crate::support::{
    Request, Rig, client,
    client::{Client, Response},
    eventually,
};

/// Time within which a probe must be answered, with a margin for a machine that is busy with other tests.
const PROBE: Duration = Duration::from_secs(5);

/// Beyond the write timeout of the listener, which is 10 s.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

fn ask(admin: SocketAddr, path: &str) -> Response {
    Client::patient(admin, PROBE).exchange(&Request::get(path))
}

fn probes_and_scrapes_are_answered(admin: SocketAddr) {
    for _ in 0..3 {
        for path in ["/-/healthy", "/-/ready", "/metrics"] {
            let answer = ask(admin, path);
            assert_eq!(
                (answer.status(), answer.body.complete),
                (200, true),
                "{path}"
            );
        }
    }
}

/// Connections that send these bytes and nothing more.
fn silent(admin: SocketAddr, number: usize, bytes: &[u8]) -> Vec<Client> {
    let connect = |_| {
        let mut client = Client::connect(admin);
        client.send(bytes);
        client
    };
    (0..number).map(connect).collect()
}

/// A connection that requests more than the sockets hold, and does not read.
fn deaf(admin: SocketAddr) -> TcpStream {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    set_socket_recv_buffer_size(&socket, 4_096).unwrap();
    net::connect(&socket, &admin).unwrap();
    let client = TcpStream::from(socket);
    client.set_nonblocking(true).unwrap();
    let requests = Request::get("/metrics").bytes().repeat(60);
    drop(std::io::Write::write(&mut &client, &requests));
    client
}

#[test]
fn connections_that_send_nothing_do_not_hold_up_others() {
    let rig = Rig::new();
    let admin = rig.relay.admin();
    for number in [64, 500] {
        let _idle = silent(admin, number, b"");
        probes_and_scrapes_are_answered(admin);
        assert_eq!(ask(admin, "/api/v1/status").status(), 200);
    }
}

#[test]
fn heads_that_never_end_do_not_hold_up_others() {
    let rig = Rig::new();
    let admin = rig.relay.admin();
    for head in [&b"G"[..], b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: "] {
        let mut trickling = silent(admin, 100, head);
        probes_and_scrapes_are_answered(admin);
        for client in &mut trickling {
            client.send(b"a");
        }
        probes_and_scrapes_are_answered(admin);
        assert_eq!(ask(admin, "/api/v1/status").status(), 200);
    }
}

#[test]
fn the_longest_idle_connection_makes_room_and_a_used_one_stays() {
    let rig = Rig::new();
    let admin = rig.relay.admin();
    let mut first = silent(admin, 1, b"");
    let mut scraper = Client::connect(admin);
    let mut others = silent(admin, 62, b"");
    assert_eq!(scraper.exchange(&Request::get("/metrics")).status(), 200);
    let _one_more = silent(admin, 1, b"");
    assert!(first[0].wire().closed(), "it was idle the longest");
    assert_eq!(scraper.exchange(&Request::get("/metrics")).status(), 200);
    let _more = silent(admin, 62, b"");
    for other in &mut others {
        assert!(other.wire().closed());
    }
    assert_eq!(scraper.exchange(&Request::get("/metrics")).status(), 200);
}

#[test]
fn clients_that_do_not_read_leave_room_for_probes_and_are_closed() {
    let rig = Rig::new();
    let admin = rig.relay.admin();
    let mut clients: Vec<_> = (0..64).map(|_| deaf(admin)).collect();
    eventually(PROBE, "all places are taken", || {
        // `ask` may take the place of a connection that has not sent its request yet, so another one is opened.
        clients.push(deaf(admin));
        ask(admin, "/api/v1/status").status() == 503
    });
    let refused = ask(admin, "/api/v1/status");
    assert_eq!(refused.head.get("retry-after"), Some("1".to_owned()));
    let text = refused.json()["error"].to_string();
    assert!(text.contains("connections"), "{text}");
    let purge = Request::new("POST", "/api/v1/purge?target=central");
    assert_eq!(client::send(admin, &purge).status(), 503);
    probes_and_scrapes_are_answered(admin);

    // The connections that are reserved for probes are limited, too.
    let _silent = silent(admin, 100, b"");
    let _deaf: Vec<_> = (0..100).map(|_| deaf(admin)).collect();
    probes_and_scrapes_are_answered(admin);

    eventually(WRITE_TIMEOUT, "those that do not read are closed", || {
        ask(admin, "/api/v1/status").status() == 200
    });
    drop(clients);
}
