//! Keeps a client connected, and makes the next one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::{Client, ClientError, Event};
use pyrotee_queue::{FailureLevel, FailureLog, LogLimiter, Part};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::connect::{self, Connected};
use super::words::{self, Fault};
use super::{Link, Session, Version};
use crate::settings::{Server, Settings};

/// Time after which the task begins again that panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Between two looks at a client. It is looked at after each event, too; an event may be lost.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Longest time to learn from the client what the server told at a reconnect.
const TO_SETTLE: Duration = Duration::from_secs(1);

/// Time for which a connection lasts before the next attempts begin with the shortest pause again.
const STEADY: Duration = Duration::from_secs(5);

/// Connects until `stop`.
pub(super) async fn supervise(link: Link, settings: Settings, stop: CancellationToken) {
    let supervisor = settings.supervisor.clone();
    let mut keeper = Keeper {
        first: fastrand::usize(..settings.servers.len().max(1)),
        failures: settings
            .servers
            .iter()
            .map(|_| FailureLog::default())
            .collect(),
        link,
        settings,
        reported: LogLimiter::default(),
        number: 0,
        since: Instant::now(),
    };
    let connecting = async {
        loop {
            let running = supervisor.catch_future(Part::Shared, keeper.run());
            if running.await.is_err() {
                keeper.end();
                sleep(PAUSE_AFTER_PANIC).await;
            }
        }
    };
    tokio::select! {
        () = connecting => {}
        () = stop.cancelled() => {}
    }
    if keeper.link.end().is_some() {
        debug!("the connection to NATS is closed");
    }
}

struct Keeper {
    link: Link,
    settings: Settings,
    /// The server to begin with: by chance, so that a fleet spreads over the servers.
    first: usize,
    /// By server.
    failures: Vec<FailureLog>,
    reported: LogLimiter,
    /// The number of the last session.
    number: u64,
    /// Since when NATS is not connected.
    since: Instant,
}

impl Keeper {
    async fn run(&mut self) {
        let mut attempt = 1;
        loop {
            if self.round().await {
                attempt = 1;
            }
            sleep(connect::delay(self.settings.timing.back_off, attempt)).await;
            attempt += 1;
        }
    }

    /// Tries each server until one connects, and stays with that until its client ends. Returns whether a connection
    /// lasted.
    async fn round(&mut self) -> bool {
        let servers = self.settings.servers.clone();
        for turn in 0..servers.len() {
            let index = (self.first + turn) % servers.len();
            let Some(server) = servers.get(index) else {
                continue;
            };
            match self.reach(server).await {
                Ok(connected) => {
                    self.first = index;
                    let began = Instant::now();
                    self.stay(server, connected).await;
                    return began.elapsed() > STEADY;
                }
                Err(fault) => self.failed(index, server, &fault),
            }
        }
        false
    }

    /// Connects to the first address of `server` that can be reached.
    async fn reach(&self, server: &Server) -> Result<Connected, Fault> {
        let mut told: Option<Fault> = None;
        for address in connect::addresses(&self.settings, server).await? {
            match connect::connect(&self.settings, server, address).await {
                Ok(connected) => return Ok(connected),
                Err(fault) => {
                    debug!(server = server.name(), %address, %fault, "cannot connect to NATS");
                    // A name may have an address at which nothing listens, beside the one of the server.
                    if told.as_ref().is_none_or(|told| told.is_far) {
                        told = Some(fault);
                    }
                }
            }
        }
        let none = || Fault::new("the name has no address", "correct the name service");
        Err(told.unwrap_or_else(none))
    }

    fn failed(&mut self, index: usize, server: &Server, fault: &Fault) {
        let (server, waited) = (server.name(), self.since.elapsed());
        let noted = format!("{server}: {fault}");
        let (error, remedy) = (&fault.text, &fault.remedy);
        let log = self.failures.get_mut(index);
        match log.and_then(|log| log.level(&noted, waited)) {
            Some(FailureLevel::Warning) => {
                warn!(
                    server,
                    error, remedy, "cannot connect to NATS: profiles stay in memory"
                );
            }
            Some(FailureLevel::Error) => {
                error!(
                    server,
                    error,
                    remedy,
                    ?waited,
                    "cannot connect to NATS: profiles stay in memory"
                );
            }
            None => {}
        }
        self.link.note_error(noted);
    }

    /// Has sessions on a client until it ends or is replaced.
    async fn stay(&mut self, server: &Server, connected: Connected) {
        let Connected { client, mut events } = connected;
        let jetstream = connect::jetstream(&client);
        let mut looks = interval(BETWEEN_LOOKS.min(self.settings.timing.stalled));
        let mut probe = Box::pin(probe(jetstream.clone()));
        let mut is_probed = false;
        let mut differs = false;
        loop {
            let event = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => break,
                },
                _ = looks.tick() => None,
                fault = &mut probe, if !is_probed => {
                    is_probed = true;
                    if let Some(fault) = fault {
                        self.report("jetstream", server, &fault);
                    }
                    continue;
                }
            };
            differs &= event.is_none();
            match event {
                Some(Event::Connected) => self.begin(server, &client, &jetstream).await,
                Some(Event::Disconnected) => self.lose(server),
                Some(Event::ServerError(error)) => {
                    let error = error.to_string();
                    // The probe is answered only if the user may ask.
                    if !error.contains("$JS.API.INFO") {
                        self.report("reported", server, &words::reported(&error));
                    }
                }
                Some(Event::LameDuckMode) if self.settings.servers.len() > 1 => {
                    info!(
                        server = server.name(),
                        "the NATS server shuts down: changing to another"
                    );
                    self.first += 1;
                    break;
                }
                Some(Event::ClientError(ClientError::MaxReconnects)) => break,
                Some(event) => debug!(server = server.name(), %event, "event of the NATS client"),
                // An event may still be on its way at the first look that differs.
                None => {
                    let differed = differs;
                    differs = self.differs(&client);
                    if differs && differed {
                        self.correct(server, &client, &jetstream).await;
                    }
                }
            }
            if self.is_stalled() {
                self.report("stalled", server, &words::stalled());
                // The queue of the client may be full.
                let _asked = timeout(TO_SETTLE, client.force_reconnect()).await;
                self.first += 1;
                break;
            }
        }
        self.end();
    }

    /// Whether the client is connected without a session, or has one without being connected.
    fn differs(&self, client: &Client) -> bool {
        let is_connected = client.connection_state() == State::Connected;
        is_connected != self.link.session().is_some()
    }

    /// Makes good for an event that was lost.
    async fn correct(&mut self, server: &Server, client: &Client, jetstream: &Context) {
        match self.link.session() {
            None => self.begin(server, client, jetstream).await,
            Some(_) => self.lose(server),
        }
    }

    fn is_stalled(&self) -> bool {
        let unanswered = self.link.unanswered();
        unanswered.is_some_and(|since| since.elapsed() >= self.settings.timing.stalled)
            && self.link.session().is_some()
    }

    /// Begins a session, the first or the next of this client.
    async fn begin(&mut self, server: &Server, client: &Client, jetstream: &Context) {
        // At a reconnect the client takes over what the server told after it says that it is connected.
        let _settled = timeout(TO_SETTLE, client.flush()).await;
        self.end();
        let told = client.server_info();
        let version = Version::new(told.version);
        self.number += 1;
        let session = Session {
            client: client.clone(),
            jetstream: jetstream.clone(),
            number: self.number,
            max_payload: told.max_payload,
            version: version.clone(),
        };
        self.failures.fill_with(FailureLog::default);
        let name = server.name();
        self.link.begin(&name, session);
        info!(server = name, %version, "connected to NATS");
        if !version.is_supported() && self.reported.due("version").is_some() {
            let remedy = "upgrade NATS to 2.10 or newer";
            warn!(server = name, %version, remedy, "this version of NATS is not supported");
        }
    }

    /// The client lost its connection, and tries to have it again.
    fn lose(&mut self, server: &Server) {
        if let Some(ended) = self.end() {
            let (server, version) = (server.name(), &ended.version);
            let fault = words::lost();
            let (error, remedy) = (&fault.text, &fault.remedy);
            warn!(server, %version, error, remedy, "disconnected from NATS: profiles stay in memory");
            self.link.note_error(format!("{server}: {fault}"));
        }
    }

    fn end(&mut self) -> Option<Arc<Session>> {
        let ended = self.link.end()?;
        self.since = Instant::now();
        Some(ended)
    }

    /// Notes an error that is no failed attempt to connect. Errors of one kind are logged now and then.
    fn report(&self, kind: &'static str, server: &Server, fault: &Fault) {
        let server = server.name();
        if let Some(left_out) = self.reported.due(kind) {
            let (error, remedy) = (&fault.text, &fault.remedy);
            warn!(server, error, remedy, left_out, "NATS reports an error");
        }
        self.link.note_error(format!("{server}: {fault}"));
    }
}

/// Asks whether there is JetStream. `None`: there is, or it is not told.
async fn probe(jetstream: Context) -> Option<Fault> {
    let error = jetstream.query_account().await.err()?;
    words::without_jetstream(&error)
}
