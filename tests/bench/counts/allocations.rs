//! Allocations of one request, from the client's bytes to the last target's answer.
//!
//! The proxy and the deliverers run in this process over loopback. The client and the Pyroscopes do too,
//! on threads that allocate nothing while they serve.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pyroscope_wire::refusal::Rules;
use pyroscope_wire::{SurfacePaths, Tags};
use pyrotee_delivery::{CredentialRefresh, DeadLetterSink, Deliverer, OnAmbiguous};
use pyrotee_net::{Address, Connector, Listen, Resolver, bind};
use pyrotee_proxy::{Duplicates, LocalWrites, Proxy, TeeOn, TeeSettings};
use pyrotee_queue::{
    Budget, Ledger, Limits, Supervisor, TargetQueue, WallClock, WhenFull, open_memory,
};
use pyrotee_tls::{ClientTls, SystemRoots};
use stats_alloc::{Region, Stats};
use tokio_util::sync::CancellationToken;

use super::ALLOCATOR;
use super::table::{Count, TOLERANCE};

const REQUESTS: u64 = 400;
/// Requests before the count begins, until pools, maps and buffers have reached their size.
const WARM_UP: u64 = 100;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub(crate) fn count() -> Vec<Count> {
    let mut counts = Vec::new();
    for (size, bytes) in [("2 KB", 2_000), ("50 KB", 50_000), ("1 MB", 1_000_000)] {
        for targets in [0, 1, 3] {
            let stats = measure(targets, bytes);
            let what = format!("request of {size}, targets: {targets}");
            let per_request = |count: usize| count as u64 / REQUESTS;
            counts.push(Count {
                what: what.clone(),
                unit: "allocations",
                count: per_request(stats.allocations + stats.reallocations),
                tolerance: TOLERANCE,
            });
            let allocated = stats.bytes_allocated as u64;
            counts.push(Count {
                what,
                unit: "bytes allocated",
                count: allocated / REQUESTS,
                tolerance: TOLERANCE,
            });
        }
    }
    counts
}

/// Sends `times` requests of 2 KB through a relay without targets.
pub(crate) fn relay_to_upstream(times: u64) {
    run(0, 2_000, |client, ledgers| client.send(times, ledgers));
}

fn measure(targets: usize, bytes: usize) -> Stats {
    run(targets, bytes, |client, ledgers| {
        client.send(WARM_UP, ledgers);
        let region = Region::new(ALLOCATOR);
        client.send(REQUESTS, ledgers);
        region.change()
    })
}

/// Starts a relay, calls `send` with a client of the relay, and stops the relay.
fn run<T>(targets: usize, bytes: usize, send: impl FnOnce(&mut Client, &[Arc<Ledger>]) -> T) -> T {
    // One worker thread: with two, the count would depend on how they share the work.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let stop = CancellationToken::new();
    let upstream = pyroscope();
    let ledgers: Vec<_> = (0..targets).map(|_| Arc::new(Ledger::default())).collect();
    let proxy = runtime.block_on(async { relay(upstream, &ledgers, &stop) });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, proxy.address().port()));
    runtime.spawn(proxy.run());

    let sent = send(&mut Client::new(address, bytes), &ledgers);
    stop.cancel();
    runtime.shutdown_timeout(Duration::from_secs(5));
    sent
}

fn relay(upstream: SocketAddr, ledgers: &[Arc<Ledger>], stop: &CancellationToken) -> Proxy {
    let (resolver, roots) = (Resolver::system().unwrap(), SystemRoots::load().unwrap());
    let tls = ClientTls::system(&roots).unwrap();
    let connector = || Connector::new(&resolver, &tls);
    let limits = Limits {
        records: 1_000,
        bytes: 1 << 30,
        when_full: WhenFull::DropNewest,
    };
    let budget = Budget::new(1 << 30);
    let target = |(number, ledger): (usize, &Arc<Ledger>)| TargetQueue {
        name: format!("t{number}"),
        limits,
        ledger: Arc::clone(ledger),
        sharing: None,
    };
    let opened = open_memory(ledgers.iter().enumerate().map(target));
    for (number, queue) in opened.queues.into_iter().enumerate() {
        let address = format!("http://{}", pyroscope());
        let settings = pyrotee_delivery::Settings {
            name: format!("t{number}"),
            address: Address::parse(&address).unwrap().address,
            tls: None,
            credentials: None,
            tenant: None,
            headers: Vec::new(),
            tags: Tags::parse([("region".to_owned(), "eu".to_owned())]).unwrap(),
            paths: SurfacePaths::default(),
            timeout: Duration::from_secs(10),
            workers: 64,
            max_age: None,
            on_ambiguous: OnAmbiguous::Retry,
            replay_rate: None,
            rules: Rules::default(),
        };
        let deliverer = Deliverer::new(
            &settings,
            connector(),
            queue.consumer,
            WallClock::system(),
            DeadLetterSink::disabled(),
            CredentialRefresh::disabled(),
            Supervisor::default(),
        )
        .unwrap();
        tokio::spawn(deliverer.run(stop.clone()));
    }
    let settings = pyrotee_proxy::Settings {
        listen_tls: None,
        upstream: Some(pyrotee_proxy::UpstreamSettings {
            origin: format!("http://{upstream}").parse().unwrap(),
            connector: connector(),
            grpc_connector: Connector::http2(&resolver, &tls),
            max_connections: None,
            timeout: Duration::from_secs(10),
            forwarded_headers: true,
        }),
        producer: opened.producer,
        budget,
        local_writes: LocalWrites::Forward,
        tee: (!ledgers.is_empty()).then_some(TeeSettings {
            max_body: 64 << 20,
            on: TeeOn::Always,
            duplicates: Duplicates::Drop,
            check: None,
        }),
    };
    let socket = bind(Listen::All(0)).unwrap();
    Proxy::new(
        socket,
        settings,
        tokio::runtime::Handle::current(),
        stop.clone(),
    )
}

/// Sends one request after the other, each after every target has received the previous one.
struct Client {
    socket: TcpStream,
    request: Vec<u8>,
    sent: u64,
}

impl Client {
    fn new(relay: SocketAddr, bytes: usize) -> Self {
        let socket = TcpStream::connect(relay).unwrap();
        socket.set_nodelay(true).unwrap();
        let head = format!(
            "POST /ingest?name=shop.cpu%7Bpod%3Dcart-1%7D&from=1795500000&until=1795500010&\
             spyName=gospy&sampleRate=100&format=pprof HTTP/1.1\r\nHost: relay:4040\r\n\
             User-Agent: Go-http-client/1.1\r\nContent-Type: binary/octet-stream\r\n\
             Content-Length: {bytes}\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        let mut request = head.into_bytes();
        request.resize(request.len() + bytes, 7);
        Self {
            socket,
            request,
            sent: 0,
        }
    }

    fn send(&mut self, requests: u64, ledgers: &[Arc<Ledger>]) {
        let mut answer = [0; 1_024];
        for _ in 0..requests {
            self.socket.write_all(&self.request).unwrap();
            let read = self.socket.read(&mut answer).unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
            self.sent += 1;
            while ledgers
                .iter()
                .any(|it| it.snapshot().sent.profiles < self.sent)
            {
                thread::yield_now();
            }
        }
    }
}

/// Starts a Pyroscope that accepts every profile. Its thread ends with the process.
fn pyroscope() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.set_nodelay(true).unwrap();
            thread::spawn(move || serve(&mut socket));
        }
    });
    address
}

fn serve(socket: &mut TcpStream) {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let mut filled = 0;
        let end = loop {
            let Ok(read @ 1..) = socket.read(&mut buffer[filled..]) else {
                return;
            };
            filled += read;
            let mut windows = buffer[..filled].windows(4);
            if let Some(end) = windows.position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let mut rest = content_length(&buffer[..end]) - (filled - end);
        while rest > 0 {
            let Ok(read @ 1..) = socket.read(&mut buffer) else {
                return;
            };
            rest -= read;
        }
        if socket.write_all(ANSWER).is_err() {
            return;
        }
    }
}

fn content_length(head: &[u8]) -> usize {
    let mut lines = head.split(|byte| *byte == b'\n');
    let name = b"content-length:";
    let line = lines.find(|line| {
        line.get(..name.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(name))
    });
    let value = line.map(|line| &line[name.len()..]).unwrap();
    str::from_utf8(value).unwrap().trim().parse().unwrap()
}
