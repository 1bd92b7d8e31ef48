//! The load: numbered profiles on a fixed schedule, whatever the responses are.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{APART, Clock, SIZE, secs};
use crate::support::{Client, Request, client::noise};

/// Number of connections, which send in turn. The schedule is kept as long as a response takes less than one round.
const CLIENTS: u32 = 8;

/// A profile from the view of its client; times in seconds since the load began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) number: usize,
    /// When the profile was due (`due`), and when it was sent (`at`).
    pub(crate) due: f64,
    pub(crate) at: f64,
    /// When the response was read.
    pub(crate) answered: f64,
    /// `None`: the connection broke.
    pub(crate) status: Option<u16>,
}

/// Running clients.
#[derive(Debug)]
pub(crate) struct Clients {
    stopped: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(crate) fn start(relay: SocketAddr, clock: Clock) -> Self {
        let (stopped, sent) = (Arc::<AtomicBool>::default(), Arc::default());
        let first = clock.0.elapsed();
        let client = |turn| {
            let (stopped, sent) = (Arc::clone(&stopped), Arc::clone(&sent));
            thread::spawn(move || work(relay, clock, first, turn, &stopped, &sent))
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self {
            stopped,
            sent,
            threads,
        }
    }

    /// Profiles that were sent and answered so far, in no order.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Ends the load, and returns every profile that was sent.
    pub(crate) fn stop(self) -> Vec<Sent> {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a client does not panic");
        }
        let mut sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.sort_by_key(|sent| sent.number);
        sent
    }
}

fn work(
    relay: SocketAddr,
    clock: Clock,
    first: Duration,
    turn: u32,
    stopped: &AtomicBool,
    sent: &Mutex<Vec<Sent>>,
) {
    let mut body = noise(SIZE);
    let mut client = Client::connect(relay);
    for number in (turn..).step_by(CLIENTS as usize) {
        let due = first + APART * number;
        thread::sleep(due.saturating_sub(clock.0.elapsed()));
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = number as usize;
        body[..8].copy_from_slice(&number.to_le_bytes());
        let request = Request::profile(&format!("outage.{number}"), &body);
        let at = clock.now();
        let answer = client.send(&request.bytes()).try_receive("POST");
        let answered = clock.now();
        if answer.is_none() {
            client = Client::connect(relay);
        }
        sent.lock().unwrap().push(Sent {
            number,
            due: secs(due),
            at,
            answered,
            status: answer.map(|answer| answer.status()),
        });
    }
}
