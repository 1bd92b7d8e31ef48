//! A port in front of a server whose traffic can stop in one direction or both, as at a partition of a network: neither
//! side is told, and what a side sent arrives once the line is whole again.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// Which traffic stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) to_server: bool,
    pub(crate) to_client: bool,
}

/// A running port; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cut: Cut,
    /// Both ends of all connections so far; those that have ended are closed.
    ends: Vec<TcpStream>,
    /// Connections of an earlier number were broken off.
    number: usize,
    is_over: bool,
}

impl Line {
    /// A whole line to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        let shared = Arc::new(Shared {
            server,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.accept(&listener));
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops traffic, also of later connections.
    pub(crate) fn cut(&self, cut: Cut) {
        self.shared.state().cut = cut;
    }

    /// Lets all traffic pass again, what was held included.
    pub(crate) fn mend(&self) {
        self.cut(Cut::default());
        self.shared.changed.notify_all();
    }

    /// Closes all connections, loses what was held, and is whole for later ones.
    pub(crate) fn break_off(&self) {
        let mut state = self.shared.state();
        state.number += 1;
        for end in state.ends.drain(..) {
            // The peer may have closed it.
            drop(end.shutdown(Shutdown::Both));
        }
        drop(state);
        self.mend();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.break_off();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.state().is_over {
                return;
            }
            let server = TcpStream::connect(self.server);
            // The client sees the end of its connection.
            let (Ok(client), Ok(server)) = (client, server) else {
                continue;
            };
            let clone = |end: &TcpStream| end.try_clone().expect("a socket can be shared");
            let mut state = self.state();
            state.ends.extend([clone(&client), clone(&server)]);
            let number = state.number;
            drop(state);
            let ends = (clone(&client), clone(&server));
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.pass(ends.0, ends.1, number, |cut| cut.to_server));
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.pass(server, client, number, |cut| cut.to_client));
        }
    }

    /// Passes on what arrives, and the end of it, whenever the way is not cut.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, number: usize, is_cut: fn(Cut) -> bool) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let held = |it: &mut State| is_cut(it.cut) && it.number == number;
            let state = self.changed.wait_while(self.state(), held);
            let is_broken_off = state.expect("nobody panics with the lock").number != number;
            if is_broken_off || to.write_all(&buffer[..read]).is_err() {
                return;
            }
            if read == 0 {
                drop(to.shutdown(Shutdown::Write));
                return;
            }
        }
    }
}
