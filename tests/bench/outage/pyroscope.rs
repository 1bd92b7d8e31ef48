//! A stand-in for a Pyroscope with Pyroscope's default limits. It records the time of each arrival.

use std::{
    collections::HashSet,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use super::{Clients, Clock, SIZE, secs};
use crate::support::{Wire, key};

/// Longer than the run, so that only the relay closes idle connections.
const IDLE: Duration = Duration::from_secs(600);

/// Time that storing one profile takes.
const WORK: Duration = Duration::from_millis(50);

/// A profile that arrived whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The number in its name.
    pub(crate) number: usize,
    pub(crate) at: f64,
    /// Whether the profile was accepted. If not, it was above the rate limit.
    pub(crate) taken: bool,
    /// Whether the body equals the one that was sent under this number.
    pub(crate) intact: bool,
}

/// A running stand-in.
#[derive(Clone, Debug)]
pub(crate) struct Pyroscope {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    limiter: Option<Limiter>,
    arrivals: Vec<Arrival>,
    /// Profiles that are being stored.
    busy: usize,
    most_at_once: usize,
}

/// A token bucket; a token stands for one byte.
#[derive(Debug)]
struct Limiter {
    tokens: f64,
    at: f64,
}

impl Pyroscope {
    pub(crate) fn without_limits(listener: TcpListener, clock: Clock) -> Self {
        Self::start(listener, clock, None)
    }

    pub(crate) fn with_default_limits(listener: TcpListener, clock: Clock) -> Self {
        let full = Limiter {
            tokens: Limiter::BURST,
            at: clock.now(),
        };
        Self::start(listener, clock, Some(full))
    }

    fn start(listener: TcpListener, clock: Clock, limiter: Option<Limiter>) -> Self {
        let state = Arc::new(Mutex::new(State {
            limiter,
            arrivals: Vec::new(),
            busy: 0,
            most_at_once: 0,
        }));
        let started = Self { clock, state };
        let acceptor = started.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = acceptor.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        started
    }

    /// All arrivals so far, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// Largest number of profiles that were being stored at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.lock().most_at_once
    }

    /// Whether every profile that was sent before the first acceptance has been accepted.
    pub(crate) fn has_all_before_its_first(&self, clients: &Clients) -> bool {
        let arrivals = self.arrivals();
        let Some(back) = back(&arrivals) else {
            return false;
        };
        let here: HashSet<_> = taken(&arrivals).map(|arrival| arrival.number).collect();
        let sent = clients.sent();
        let mut before = sent.iter().filter(|sent| sent.at <= back);
        before.all(|sent| here.contains(&sent.number))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    fn serve(&self, stream: TcpStream) {
        let mut wire = Wire::new(stream, IDLE);
        while let Ok(Some(head)) = wire.head() {
            let body = wire.body(head.request_framing());
            if !body.complete {
                return;
            }
            let name = key::parameter(&head.query(), "name").unwrap_or_default();
            let number = name.strip_prefix("outage.").and_then(|n| n.parse().ok());
            let number: usize = number.unwrap_or_else(|| panic!("who sent {name:?}?"));
            let mut state = self.lock();
            let at = self.clock.now();
            let limiter = state.limiter.as_mut();
            let taken = limiter.is_none_or(|limiter| limiter.allows(body.data.len(), at));
            state.arrivals.push(Arrival {
                number,
                at,
                taken,
                intact: body.data.len() == SIZE && body.data.starts_with(&number.to_le_bytes()),
            });
            if taken {
                state.busy += 1;
                state.most_at_once = state.most_at_once.max(state.busy);
                drop(state);
                thread::sleep(WORK);
                self.lock().busy -= 1;
            } else {
                drop(state);
            }
            if wire.send(&answer_to(taken)).is_err() {
                return;
            }
        }
    }
}

impl Limiter {
    const RATE: f64 = 4e6;
    const BURST: f64 = 2e6;

    fn allows(&mut self, bytes: usize, now: f64) -> bool {
        let grown = self.tokens + Self::RATE * (now - self.at);
        let bytes = bytes as f64;
        self.tokens = grown.min(Self::BURST);
        self.at = now;
        let allowed = self.tokens >= bytes;
        if allowed {
            self.tokens -= bytes;
        }
        allowed
    }
}

fn answer_to(taken: bool) -> Vec<u8> {
    if taken {
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    }
    let said = "{\"code\":\"resource_exhausted\",\"message\":\"push rate limit (3.8 MiB) exceeded \
                while adding 20 kB\"}";
    let length = said.len();
    format!(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{said}"
    )
    .into_bytes()
}

/// The arrivals that were accepted.
pub(crate) fn taken(arrivals: &[Arrival]) -> impl Iterator<Item = &Arrival> {
    arrivals.iter().filter(|arrival| arrival.taken)
}

/// When the first accepted profile was answered, in seconds since the load began.
pub(crate) fn back(arrivals: &[Arrival]) -> Option<f64> {
    Some(taken(arrivals).next()?.at + secs(WORK))
}
