//! Many requests, and a stand-in that keeps a fingerprint of each body instead of the body.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hasher},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{Client, Head, Request, SOON, Wire};

/// Longer than any test, so that only the relay closes idle connections.
const IDLE: Duration = Duration::from_secs(120);

/// A stand-in for a Pyroscope that accepts everything, at once or when its gate is opened.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// Heads in order of arrival, and fingerprints of their bodies.
    arrived: Vec<(Head, u64)>,
    waiting: usize,
    /// The most requests that waited at once.
    peak: usize,
}

impl Sink {
    /// Answers every request at once with an empty `200`.
    pub(crate) fn ok() -> Self {
        Self::start(true)
    }

    /// Reads requests and answers none before [`Sink::open`].
    pub(crate) fn gated() -> Self {
        Self::start(false)
    }

    fn start(open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        let state = State {
            open,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let sink = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&mut Wire::new(stream, IDLE), &shared));
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens the gate: waiting requests are answered first, later ones at once.
    pub(crate) fn open(&self) {
        self.shared.lock().open = true;
        self.shared.changed.notify_all();
    }

    /// Waits until `count` requests have arrived whole.
    pub(crate) fn wait_for(&self, count: usize) {
        let state = self.shared.lock();
        let (state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(state, SOON, |state| state.arrived.len() < count)
            .expect("no thread of the sink panicked");
        let seen = state.arrived.len();
        drop(state);
        assert!(!timeout.timed_out(), "{seen} of {count} requests came");
    }

    /// The names of the profiles in order of arrival.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.shared.lock();
        let name = |head: &Head| crate::support::key::parameter(&head.query(), "name");
        state
            .arrived
            .iter()
            .map(|(head, _)| name(head).unwrap_or_default())
            .collect()
    }

    /// How often each body came, by its fingerprint.
    pub(crate) fn bodies(&self) -> HashMap<u64, usize> {
        let mut bodies = HashMap::new();
        for (_, body) in &self.shared.lock().arrived {
            *bodies.entry(*body).or_default() += 1;
        }
        bodies
    }

    /// The most requests that waited for a response at once.
    pub(crate) fn peak(&self) -> usize {
        self.shared.lock().peak
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.open();
        // Wakes the acceptor, which then sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the sink panicked")
    }
}

fn serve(wire: &mut Wire, shared: &Shared) {
    while let Ok(Some(head)) = wire.head() {
        let body = wire.body(head.request_framing());
        if !body.complete {
            return;
        }
        let mut state = shared.lock();
        state.arrived.push((head, fingerprint(&body.data)));
        state.waiting += 1;
        state.peak = state.peak.max(state.waiting);
        shared.changed.notify_all();
        let mut state = shared
            .changed
            .wait_while(state, |state| !state.open)
            .expect("no thread of the sink panicked");
        state.waiting -= 1;
        drop(state);
        if wire
            .send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}

/// A number that tells one body from another.
pub(crate) fn fingerprint(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

/// `length` bytes, made of `base`, that differ for each `index`.
pub(crate) fn stamped(base: &[u8], index: usize) -> Vec<u8> {
    let mut body = base.to_vec();
    body[..8].copy_from_slice(&(index as u64).to_le_bytes());
    body
}

/// Sends `count` requests over `clients` kept connections, and returns those that were not answered with a 200.
pub(crate) fn push(
    relay: SocketAddr,
    clients: usize,
    count: usize,
    request: impl Fn(usize) -> Vec<u8> + Sync,
) -> Vec<String> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|first| {
                let request = &request;
                scope.spawn(move || one(relay, (first..count).step_by(clients), request))
            })
            .collect();
        let failed = threads.into_iter();
        failed
            .flat_map(|thread| thread.join().expect("a client does not panic"))
            .collect()
    })
}

fn one(
    relay: SocketAddr,
    indices: impl Iterator<Item = usize>,
    request: impl Fn(usize) -> Vec<u8>,
) -> Vec<String> {
    let mut client = Client::patient(relay, Duration::from_secs(60));
    let mut failed = Vec::new();
    for index in indices {
        match client.send(&request(index)).try_receive("POST") {
            Some(answer) if answer.status() == 200 => {}
            Some(answer) => failed.push(format!("{index}: {}", answer.head.start_line())),
            None => {
                failed.push(format!("{index}: no answer"));
                client = Client::patient(relay, Duration::from_secs(60));
            }
        }
    }
    failed
}

/// Passes connections on to an address that is set later. No port is fixed, so two relays that point at each other
/// could not both be started otherwise.
#[derive(Debug)]
pub(crate) struct Bridge {
    address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
}

impl Bridge {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        let to = Arc::new(Mutex::new(None));
        let destination = Arc::clone(&to);
        // The thread ends with the process of the test; nothing else uses the port.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let to = *destination.lock().expect("nobody panics with the lock");
                if let Some(Ok(other)) = to.map(TcpStream::connect) {
                    pump(&stream, &other);
                    pump(&other, &stream);
                }
            }
        });
        Self { address, to }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn lead_to(&self, address: SocketAddr) {
        *self.to.lock().expect("nobody panics with the lock") = Some(address);
    }
}

fn pump(from: &TcpStream, to: &TcpStream) {
    let share = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let (mut from, mut to) = (share(from), share(to));
    thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(std::net::Shutdown::Write));
    });
}

/// The bytes of a profile's upload.
pub(crate) fn upload(app: &str, body: &[u8]) -> Vec<u8> {
    Request::profile(app, body).bytes()
}
