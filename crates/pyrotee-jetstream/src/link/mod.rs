//! The connection to NATS.
//!
//! A client of the library tries for ever by default, and keeps in memory what it could not send. Here a client has one
//! address and ends after some failed attempts, and a supervisor makes the next one. What depends on a connection belongs
//! to its [`Session`].

mod auth;
mod connect;
mod supervise;
#[cfg(test)]
mod tests;
mod version;
mod words;

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_nats::Client;
use async_nats::jetstream::Context;
use pyrotee_queue::lock;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::settings::Settings;

pub(crate) use version::Version;
pub(crate) use words::{ENABLE_FOR_ACCOUNT, ENABLE_JETSTREAM, NO_JETSTREAM};

/// One connection to one server, from its handshake until it is lost.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client. It may reconnect and have another session then.
    pub(crate) client: Client,
    /// JetStream on the client.
    pub(crate) jetstream: Context,
    /// Distinguishes the sessions of a process; the first has the number 1.
    pub(crate) number: u64,
    /// Longest message that the server takes, headers included, in bytes.
    pub(crate) max_payload: usize,
    /// The version of the server.
    pub(crate) version: Version,
}

/// The connection to NATS, as an operator sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Whether NATS is connected.
    pub is_connected: bool,
    /// Host and port of the connected server. `None`: none is connected.
    pub server: Option<String>,
    /// Version of the connected server. `None`: none is connected.
    pub version: Option<String>,
    /// The last error since the last connection was made, in one line, with its remedy. `None`: there is none.
    pub error: Option<String>,
    /// Since when NATS is connected, or not connected. `None`: it never was.
    pub since: Option<SystemTime>,
    /// Connections that were made.
    pub connects: u64,
    /// Connections that ended.
    pub disconnects: u64,
    /// Attempts to connect that failed, and errors that the server reported.
    pub errors: u64,
}

/// The connection to NATS, which is made again until the relay stops. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    session: watch::Sender<Option<Arc<Session>>>,
    state: Mutex<LinkState>,
    /// When something was first published that no answer followed. `None`: nothing waits for an answer.
    unanswered: Mutex<Option<Instant>>,
}

impl Link {
    /// Connects in the background, on a task of `tasks`, until `stop`.
    pub(crate) fn start(settings: &Settings, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let link = Self(Arc::new(Inner {
            session: watch::Sender::new(None),
            state: Mutex::default(),
            unanswered: Mutex::default(),
        }));
        tasks.spawn(supervise::supervise(link.clone(), settings.clone(), stop));
        link
    }

    /// The present session. `None`: NATS is not connected.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.0.session.borrow().clone()
    }

    /// The present session, and each change of it. Who holds a session lets it go when it changes: a held one keeps its
    /// client.
    pub(crate) fn sessions(&self) -> watch::Receiver<Option<Arc<Session>>> {
        self.0.session.subscribe()
    }

    /// The state, without asking anybody.
    pub(crate) fn state(&self) -> LinkState {
        lock(&self.0.state).clone()
    }

    /// Something was published whose acknowledgement is expected.
    pub(crate) fn note_sent(&self) {
        lock(&self.0.unanswered).get_or_insert_with(Instant::now);
    }

    /// The broker answered a publish, also if it refused it.
    pub(crate) fn note_acked(&self) {
        *lock(&self.0.unanswered) = None;
    }

    /// When something was first published that no answer followed.
    fn unanswered(&self) -> Option<Instant> {
        *lock(&self.0.unanswered)
    }

    /// Puts a session in force.
    fn begin(&self, server: &str, session: Session) {
        self.note_acked();
        let mut state = lock(&self.0.state);
        state.is_connected = true;
        state.server = Some(server.to_owned());
        state.version = Some(session.version.to_string());
        state.error = None;
        state.since = Some(SystemTime::now());
        state.connects += 1;
        drop(state);
        self.0.session.send_replace(Some(Arc::new(session)));
    }

    /// Ends the present session. Returns it, if there was one.
    fn end(&self) -> Option<Arc<Session>> {
        let ended = self.0.session.send_replace(None)?;
        let mut state = lock(&self.0.state);
        state.is_connected = false;
        state.server = None;
        state.version = None;
        state.since = Some(SystemTime::now());
        state.disconnects += 1;
        Some(ended)
    }

    /// Notes an error, which is one line with its remedy.
    fn note_error(&self, error: String) {
        let mut state = lock(&self.0.state);
        state.error = Some(error);
        state.errors += 1;
    }
}
