//! A stand-in for a Pyroscope, as the local upstream or as a target: it keeps every request byte for byte, and responds
//! by a script.

mod answer;
mod serve;

use std::{
    collections::HashMap,
    fmt,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub(crate) use self::answer::Answer;
use super::{
    poll::SOON,
    ports::Refusing,
    wire::{Body, Head},
};

/// The facts by which a script chooses the response, before the body is read.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) head: &'a Head,
    /// Number of requests before this one, on all connections.
    pub(crate) index: usize,
    /// Number of connections that were opened before the connection of this request.
    pub(crate) connection: usize,
    /// Number of requests before this one on the same connection.
    pub(crate) nth: usize,
}

/// How the reading of a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The body is still arriving, or is never read.
    Open,
    Complete,
    /// The connection ended before the body did.
    Aborted,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) end: End,
    /// The number of the connection of the request, from 0.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
}

/// A running stand-in; it stops when dropped.
pub(crate) struct Upstream {
    port: Arc<Refusing>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

type Script = Box<dyn Fn(&Arrival<'_>) -> Answer + Send + Sync>;

struct Shared {
    script: Script,
    stopped: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// Connections accepted so far.
    opened: usize,
    /// A second handle of each open connection, to end it from outside.
    connections: HashMap<usize, TcpStream>,
}

impl Upstream {
    /// Accepts everything with an empty `200`.
    pub(crate) fn ok() -> Self {
        Self::answering(Answer::ok())
    }

    /// Responds to every request in the same way.
    pub(crate) fn answering(answer: Answer) -> Self {
        Self::script(move |_| answer.clone())
    }

    /// Calls `script` for the response to each request.
    pub(crate) fn script(script: impl Fn(&Arrival<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", script)
    }

    /// Listens at the given address: `[::1]:0`, or the address of a stopped stand-in.
    pub(crate) fn at(
        address: &str,
        script: impl Fn(&Arrival<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let port = Refusing::at(address.parse().expect("an address and a port"));
        let listener = TcpListener::bind(port.address())
            .unwrap_or_else(|error| panic!("bind {port}: {error}"));
        let shared = Arc::new(Shared {
            script: Box::new(script),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptor = Some(serve::accept(listener, Arc::clone(&shared)));
        Self {
            port: Arc::new(port),
            shared,
            acceptor,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The address as a configuration has it.
    pub(crate) fn url(&self) -> String {
        self.port.url()
    }

    /// Every request whose head has arrived, in order of arrival, with or without its whole body.
    pub(crate) fn arrivals(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The requests that arrived whole.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let mut requests = self.arrivals();
        requests.retain(|request| request.end == End::Complete);
        requests
    }

    /// The bodies of the requests that arrived whole.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        let requests = self.requests().into_iter();
        requests.map(|request| request.body.data).collect()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().opened
    }

    /// Waits until `count` requests arrived whole and returns them.
    pub(crate) fn wait_for(&self, count: usize, limit: Duration) -> Vec<Request> {
        self.wait_until(limit, &format!("{count} whole requests"), |requests| {
            requests
                .iter()
                .filter(|request| request.end == End::Complete)
                .count()
                >= count
        });
        self.requests()
    }

    /// Waits until the recorded requests, whole or not, satisfy `condition`.
    pub(crate) fn wait_until(
        &self,
        limit: Duration,
        what: &str,
        condition: impl Fn(&[Request]) -> bool,
    ) {
        let state = self.shared.lock();
        let (state, timeout) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !condition(&state.requests))
            .expect("no thread of the stand-in panicked");
        let seen: Vec<_> = state
            .requests
            .iter()
            .map(|r| (r.head.start_line(), r.body.data.len(), r.end))
            .collect();
        drop(state);
        assert!(
            !timeout.timed_out(),
            "not within {limit:?}: {what}; seen {seen:#?}"
        );
    }

    /// The only request so far, or the first one to arrive soon.
    pub(crate) fn only(&self) -> Request {
        let mut requests = self.wait_for(1, SOON);
        assert_eq!(requests.len(), 1, "more than one request: {requests:#?}");
        requests.remove(0)
    }

    /// Stops: closes the listener and every connection. The port stays reserved, so that a new stand-in can use it.
    pub(crate) fn stop(mut self) -> Arc<Refusing> {
        self.shut();
        Arc::clone(&self.port)
    }

    fn shut(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees the flag.
        drop(TcpStream::connect(self.address()));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
        for connection in self.shared.lock().connections.values() {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread of the stand-in panicked")
    }
}
