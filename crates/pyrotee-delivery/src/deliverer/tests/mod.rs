//! Tests of the whole delivery stack, over pipes to a scripted target, in paused time.

mod answers;
mod captor_tags;
mod connections;
mod culprits;
mod dead_letters;
mod draining;
mod fleet;
mod outage;
mod outcomes;
mod own_work;
mod panics;
mod refresh;
mod reload;
mod schedule;
mod server;
mod starvation;
mod telemetry;
mod tls;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyroscope_wire::refusal::Rules;
use pyroscope_wire::{Surface, SurfacePaths, Tags};
use pyrotee_net::{Address, ConnectionCounts, Connector};
use pyrotee_queue::{
    Budget, Consumer, Counts, Head, Headers, Ledger, Limits, OpenQueue, Payload, Producer, Reason,
    Record, Registry, Supervisor, SurfaceId, TargetQueue, WallClock, WhenFull, open_memory,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Deliverer;
use crate::{
    CredentialRefresh, DeadLetter, DeadLetterSink, OnAmbiguous, Settings, TargetHandle,
    TargetMonitor,
};
use server::{Act, Server};

const LIMITS: Limits = Limits {
    records: 1_000_000,
    bytes: 1 << 40,
    when_full: WhenFull::DropNewest,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A running deliverer of one target, between a queue and a scripted server.
struct Rig {
    producer: Option<Arc<dyn Producer>>,
    consumer: Arc<dyn Consumer>,
    ledger: Arc<Ledger>,
    server: Arc<Server>,
    registry: Arc<dyn Registry>,
    handle: TargetHandle,
    monitor: TargetMonitor,
    connections: ConnectionCounts,
    budget: Arc<Budget>,
    clock: WallClock,
    /// The dead letters, each as a line.
    dead_letters: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
    stop: CancellationToken,
    supervisor: Supervisor,
}

fn settings() -> Settings {
    Settings {
        name: "central".to_owned(),
        address: Address::parse("http://target.example:4040")
            .unwrap()
            .address,
        tls: None,
        credentials: None,
        tenant: None,
        headers: Vec::new(),
        tags: Tags::default(),
        paths: SurfacePaths::default(),
        timeout: Duration::from_secs(10),
        workers: 64,
        max_age: Some(HOUR),
        on_ambiguous: OnAmbiguous::Retry,
        replay_rate: None,
        rules: Rules::default(),
    }
}

fn line(letter: &DeadLetter<'_>) -> String {
    let query = &letter.record.head().query;
    let name = query.split('&').next().unwrap_or_default();
    format!(
        "{} {name} {:?} after {}: {:?} {}",
        letter.target, letter.reason, letter.tries, letter.status, letter.response
    )
}

impl Rig {
    fn new(server: Server) -> Self {
        Self::with(&settings(), server)
    }

    fn with(settings: &Settings, server: Server) -> Self {
        Self::with_limits(settings, server, LIMITS)
    }

    fn with_limits(settings: &Settings, server: Server, limits: Limits) -> Self {
        let [rig] = Self::side_by_side(settings, [server], limits);
        rig
    }

    /// A target for each server. A record that one rig offers is offered to all targets.
    fn side_by_side<const N: usize>(
        settings: &Settings,
        servers: [Server; N],
        limits: Limits,
    ) -> [Self; N] {
        let refresh = CredentialRefresh::disabled();
        Self::over_queues(settings, servers, limits, |queue| queue, &refresh)
    }

    /// [`Rig::side_by_side`] with deliverers whose queues are wrapped by `wrap`, and which call `refresh`.
    fn over_queues<const N: usize>(
        settings: &Settings,
        servers: [Server; N],
        limits: Limits,
        wrap: impl Fn(Arc<dyn Consumer>) -> Arc<dyn Consumer>,
        refresh: &CredentialRefresh,
    ) -> [Self; N] {
        // The wall clock of these tests pauses with tokio's clock.
        let start = Instant::now();
        let clock = WallClock::from_fn(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_397_490) + start.elapsed()
        });
        let ledgers = servers.each_ref().map(|_| Arc::<Ledger>::default());
        let queues = ledgers
            .iter()
            .enumerate()
            .map(|(number, ledger)| TargetQueue {
                name: number.to_string(),
                limits,
                ledger: Arc::clone(ledger),
                sharing: None,
            });
        let backend = open_memory(queues);
        let producer = backend.producer;
        let (budget, supervisor) = (Budget::new(1 << 40), Supervisor::default());
        let mut queues = backend.queues.into_iter();
        servers.map(|server| {
            let OpenQueue {
                consumer, ledger, ..
            } = queues.next().expect("each server has a queue");
            let server = Arc::new(server);
            let dialled = Arc::clone(&server);
            let connector = Connector::in_process(move || dialled.connect());
            let dead_letters = Arc::<Mutex<Vec<String>>>::default();
            let received = Arc::clone(&dead_letters);
            let sink =
                DeadLetterSink::new(move |letter| received.lock().unwrap().push(line(letter)));
            let queue = wrap(Arc::clone(&consumer));
            let deliverer = Deliverer::new(
                settings,
                connector,
                queue,
                clock.clone(),
                sink,
                refresh.clone(),
                supervisor.clone(),
            );
            let deliverer = deliverer.expect("the settings are valid");
            let (monitor, connections) = (deliverer.monitor(), deliverer.connections().clone());
            let handle = deliverer.handle();
            let stop = CancellationToken::new();
            let running = tokio::spawn(deliverer.run(stop.clone()));
            Self {
                producer: Some(Arc::clone(&producer)),
                consumer,
                ledger,
                server,
                registry: Arc::clone(&backend.registry),
                handle,
                monitor,
                connections,
                budget: Arc::clone(&budget),
                clock: clock.clone(),
                dead_letters,
                running,
                stop,
                supervisor: supervisor.clone(),
            }
        })
    }

    fn offer(&self, name: &str) {
        self.offer_sized(Surface::Ingest, name, 100);
    }

    fn offer_sized(&self, surface: Surface, name: &str, bytes: usize) {
        assert!(self.try_offer(surface, name, bytes));
    }

    /// Offers a record. Returns whether exactly one queue accepted it.
    fn try_offer(&self, surface: Surface, name: &str, bytes: usize) -> bool {
        self.offer_body(surface, name, vec![b'x'; bytes])
    }

    /// [`Rig::try_offer`] with this body.
    fn offer_body(&self, surface: Surface, name: &str, body: Vec<u8>) -> bool {
        self.offer_captured(surface, name, body, None)
    }

    /// [`Rig::offer_body`] of a record with these tags of the relay that captured it.
    fn offer_captured(
        &self,
        surface: Surface,
        name: &str,
        body: Vec<u8>,
        captor_tags: Option<&str>,
    ) -> bool {
        let content_type = match surface {
            Surface::Otlp | Surface::OtlpV1 => b"application/x-protobuf".as_slice(),
            Surface::Ingest | Surface::Push => b"application/proto",
        };
        let head = Head {
            surface: SurfaceId(surface.id()),
            query: format!("name={name}&from=1&until=2").into(),
            content_type: Some(content_type.into()),
            content_encoding: None,
            headers: Headers::default(),
            hops: 0,
            received: self.clock.now(),
            captor_tags: captor_tags.map(Into::into),
        };
        let reservation = self.budget.reserve(body.len() as u64).expect("it suffices");
        let record = Record::new(head, Payload::from(body), reservation);
        let producer = self.producer.as_ref().expect("the rig is not drained yet");
        let offered = producer.offer(&record);
        offered.queued == 1
    }

    fn counts(&self) -> Counts {
        let counts = self.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    /// Waits until nothing is pending, at most for a day of paused time.
    async fn settled(&self) -> Counts {
        let end = Instant::now() + 24 * HOUR;
        while self.counts().pending.profiles > 0 {
            assert!(Instant::now() < end, "{:?}", self.counts());
            pause(0.05).await;
        }
        self.counts()
    }

    /// Closes the queue and waits until the deliverer has ended.
    async fn drained(mut self) -> Counts {
        self.producer = None;
        self.running.await.expect("the target does not panic");
        let counts = self.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        assert_eq!(self.budget.recorded(), 0, "nothing is held for ever");
        counts
    }
}

async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
