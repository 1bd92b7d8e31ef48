//! A stand-in for a Pyroscope that counts the scraped profiles that arrive, and forgets their bytes.

use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::kind::Kind;
use crate::support::{Wire, key};

/// Longer than the run, so that only the relay closes idle connections.
const IDLE: Duration = Duration::from_secs(600);

/// The loop and the time of a profile: what must be different for each that arrives.
pub(crate) type Identity = (String, Kind, u64);

/// A running stand-in.
#[derive(Clone, Debug)]
pub(crate) struct Pyroscope {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// How often each profile arrived, by `instance`, kind, and the time at which its scrape was due, in nanoseconds.
    pub(crate) profiles: BTreeMap<Identity, usize>,
    /// Number of all profiles and length of their bodies.
    pub(crate) arrived: usize,
    pub(crate) bytes: usize,
}

impl State {
    /// Number of profiles that arrived more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.profiles.values().filter(|times| **times > 1).count()
    }
}

impl Pyroscope {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let started = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
        };
        let acceptor = started.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = acceptor.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        started
    }

    /// What has arrived so far.
    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    /// Number of profiles so far.
    pub(crate) fn arrived(&self) -> usize {
        self.state.lock().unwrap().arrived
    }

    fn serve(&self, stream: TcpStream) {
        let mut wire = Wire::new(stream, IDLE);
        while let Ok(Some(head)) = wire.head() {
            let body = wire.body(head.request_framing());
            if !body.complete {
                return;
            }
            let query = head.query();
            let mut tags = key::Key::of(&query).tags;
            let instance = tags.remove("instance").expect("a scraped profile has one");
            let kind = Kind::of_body(&body.data);
            // The samples of `cpu` were collected after the time that was due.
            let edge = if kind == Kind::Cpu { "from" } else { "until" };
            let due = key::parameter(&query, edge).and_then(|due| due.parse().ok());
            let due = due.expect("a scraped profile has its times");
            let mut state = self.state.lock().unwrap();
            *state.profiles.entry((instance, kind, due)).or_default() += 1;
            state.arrived += 1;
            state.bytes += body.data.len();
            drop(state);
            if wire
                .send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .is_err()
            {
                return;
            }
        }
    }
}
