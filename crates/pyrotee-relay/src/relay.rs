//! The parts of a running relay, and how they start and stop together.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use pyrotee_admin::{
    Actions, Admin, Copies, DegradableParts, Guard, Health, Hosts, LetterService, OpenSpool, Pages,
    Site, StatusSource, TargetView,
};
use pyrotee_config::Config;
use pyrotee_delivery::Deliverer;
use pyrotee_net::bind;
use pyrotee_proxy::Proxy;
use pyrotee_queue::{Budget, Reason, Supervisor};
use pyrotee_spool::{Monitor, Opening};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::outside::Outside;
use super::settings;
use super::signals::{IgnoredSignals, Signals};
use super::stopping::{Deadlines, Savers};
use super::wiring::Targets;
use crate::build_info::{REVISION, VERSION};
use crate::telemetry::{self, Scrape};

/// Time for the parts to end after `stop` is cancelled; the others are then aborted.
const LETTING_GO: Duration = Duration::from_secs(1);
/// Time for the aborted parts to end.
const ABORTING: Duration = Duration::from_millis(500);

/// [`LETTING_GO`] after a second signal.
const LETTING_GO_AT_ONCE: Duration = Duration::from_millis(200);

/// Maximum time for which the relay is not ready because its spool is being opened.
const OPENING: Duration = Duration::from_secs(2);
/// Interval of the checks whether the spool is open.
const OPENING_STEP: Duration = Duration::from_millis(5);

/// Interval of the log lines with the progress of a drain.
const PROGRESS: Duration = Duration::from_secs(5);

/// A relay whose sockets are bound.
#[derive(Debug)]
pub(super) struct Relay {
    proxy: Proxy,
    deliverers: Vec<Deliverer>,
    views: Arc<[TargetView]>,
    admin: TcpListener,
    scrape: Scrape,
    status: StatusSource,
    guard: Guard,
    hosts: Hosts,
    dead_letters: Option<LetterService>,
    spool: Option<OpenSpool>,
    savers: Savers,
    signals: Signals,
    ignored_signals: IgnoredSignals,
    grace: Duration,
    supervisor: Supervisor,
    /// Cancelled when the relay stops: no new requests are accepted.
    drain: CancellationToken,
}

impl Relay {
    /// Builds every part and binds every socket, so that every failure occurs before anything runs. At most `threads`
    /// threads are busy with bodies at once.
    pub(super) fn build(config: &Config, threads: usize) -> anyhow::Result<Self> {
        let (signals, ignored_signals) = (Signals::listen()?, IgnoredSignals::listen()?);
        let metrics = telemetry::install_metrics()?;
        let outside = Outside::open()?;
        let budget = Budget::for_bodies(config.memory_limit, config.tee.max_body);
        let (drain, supervisor) = (CancellationToken::new(), Supervisor::default());

        // Ports come first: a port that is in use ends the process before it has touched a disk.
        let socket = bind(config.listen)
            .context("failed to start the clients' listener: choose another `listen`")?;
        let (admin, address) = bind(config.admin)
            .context("failed to start the admin listener: choose another `admin`")?;
        tracing::info!(listener = "admin", %address, "listening");

        let opened = Targets::open(config, &outside, &budget, &supervisor)?;
        let producer = opened.producer.as_ref().map(Arc::downgrade);
        let settings = settings::proxy(config, opened.producer, &budget, threads, &outside);
        let proxy = Proxy::new(socket, settings, Handle::current(), drain.clone());

        let views = opened.views;
        let (spool, closer) = opened.spool.unzip();
        let monitor = spool.as_ref().map(|spool| spool.monitor.clone());
        let (dead_letters, letters) = opened.dead_letters.unzip();
        let parts = DegradableParts {
            spool: monitor.clone(),
            dead_letters: dead_letters.clone(),
        };
        let savers = Savers {
            spool: monitor.clone().zip(closer),
            dead_letters: dead_letters.clone().zip(letters),
        };
        let letter_service = dead_letters
            .clone()
            .zip(producer)
            .map(|(monitor, producer)| {
                LetterService::new(monitor, producer, Arc::clone(&views), Arc::clone(&budget))
            });
        let gauges = proxy.gauges();
        let scrape = Scrape::new(
            metrics,
            Arc::clone(&views),
            opened.connections,
            budget,
            gauges,
            monitor,
            dead_letters,
        );
        let scrape = scrape.with_panics(supervisor.clone());
        Ok(Self {
            proxy,
            deliverers: opened.deliverers,
            admin: admin
                .into_std()
                .context("failed to hand over the admin listener")?,
            scrape,
            status: StatusSource::new(Arc::clone(&views), parts),
            guard: Guard::new(config.admin_token.clone()),
            hosts: Hosts::new(&machine_name(), config.admin_hosts.clone()),
            dead_letters: letter_service,
            views,
            spool,
            savers,
            signals,
            ignored_signals,
            grace: config.shutdown_grace,
            supervisor,
            drain,
        })
    }

    /// Serves until a signal, or until a part ends that should not, and then stops everything.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let health = Arc::new(Health::default());
        let pages = Pages {
            metrics: Box::new(self.scrape),
            status: self.status,
            spool: self.spool.clone(),
            health: Arc::clone(&health),
            copies: Copies::default(),
        };
        let site = Site {
            pages,
            guard: self.guard,
            hosts: self.hosts,
            actions: Actions::new(Arc::clone(&self.views), self.spool),
            dead_letters: self.dead_letters.map(Arc::new),
        };
        let admin = Admin::start(self.admin, site, self.supervisor)
            .context("failed to start the admin thread")?;
        let mut running = Running {
            parts: JoinSet::new(),
            signals: self.signals,
            views: self.views,
            stop: CancellationToken::new(),
            crashed: None,
        };
        let beating = Arc::clone(&health);
        let mut background = JoinSet::new();
        background.spawn(async move { beating.beat().await });
        background.spawn(async move {
            self.ignored_signals.log().await;
        });
        for deliverer in self.deliverers {
            running.parts.spawn(deliverer.run(running.stop.clone()));
        }
        let address = self.proxy.address();
        running.parts.spawn(self.proxy.run());
        let spool = self
            .savers
            .spool
            .as_ref()
            .map(|(monitor, _)| monitor.clone());
        let ready = Arc::clone(&health);
        background.spawn(async move {
            await_opening(spool).await;
            ready.set_ready();
        });
        tracing::info!(listener = "data", %address, version = VERSION, revision = REVISION, "listening");

        let cause = running.wait_for_the_end().await;
        let mut deadlines = Deadlines::begin(self.grace);
        match cause {
            Cause::Signal(signal) => tracing::info!(signal, "stopping"),
            Cause::Crash(error) => running.crashed = Some(crash(error)),
        }
        health.set_stopping();
        self.drain.cancel();
        running.drain(&mut deadlines).await;
        running.let_go(&mut deadlines).await;
        self.savers.save(deadlines, &mut running.signals).await;
        let crashed = running.last_words();
        admin.stop();
        crashed.map_or(Ok(()), Err)
    }
}

/// Waits up to [`OPENING`] for the spool to open, so that most relays know their pending profiles on disk when they
/// become ready. Clients are served meanwhile. If the disk is slower or in trouble, the relay becomes ready without the
/// spool.
async fn await_opening(spool: Option<Monitor>) {
    let opening = async {
        while let Some(Opening::Scanning { .. }) = spool.as_ref().map(Monitor::opening) {
            sleep(OPENING_STEP).await;
        }
    };
    // A longer scan goes on in the background.
    timeout(OPENING, opening).await.ok();
}

/// The host name of this machine, which may be a whole domain name.
fn machine_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Why the relay stops.
enum Cause {
    /// The name of the signal.
    Signal(&'static str),
    /// A part ended although nothing had asked it to.
    Crash(Option<JoinError>),
}

/// The parts that run until the relay stops.
struct Running {
    /// The proxy and the targets. A target ends when its queue is closed and empty; the end of the proxy closes the
    /// queues.
    parts: JoinSet<()>,
    signals: Signals,
    views: Arc<[TargetView]>,
    /// Cancelled to make the parts end at once.
    stop: CancellationToken,
    crashed: Option<anyhow::Error>,
}

impl Running {
    async fn wait_for_the_end(&mut self) -> Cause {
        tokio::select! {
            signal = self.signals.next() => Cause::Signal(signal),
            Some(ended) = self.parts.join_next() => Cause::Crash(ended.err()),
        }
    }

    /// Waits until the queues are empty, `shutdown.grace` is over, or another signal comes.
    async fn drain(&mut self, deadlines: &mut Deadlines) {
        let over = sleep_until(deadlines.drained);
        tokio::pin!(over);
        let mut progress = interval(PROGRESS);
        progress.reset();
        loop {
            tokio::select! {
                ended = self.parts.join_next() => match ended {
                    None => return,
                    Some(Ok(())) => {}
                    Some(Err(error)) => self.crashed = Some(crash(Some(error))),
                },
                signal = self.signals.next() => {
                    deadlines.hurry();
                    tracing::warn!(signal, "stopping at once");
                    return;
                }
                () = &mut over => {
                    tracing::warn!("shutdown.grace is over");
                    return;
                }
                _ = progress.tick() => {
                    let pending: u64 = self.snapshots().map(|(_, counts)| counts.pending.profiles).sum();
                    tracing::info!(pending, "draining");
                }
            }
        }
    }

    /// Ends the parts that still run.
    async fn let_go(&mut self, deadlines: &mut Deadlines) {
        self.stop.cancel();
        let limit = match deadlines.is_hurried {
            true => LETTING_GO_AT_ONCE,
            false => LETTING_GO,
        };
        let ending = async { while self.parts.join_next().await.is_some() {} };
        let ended = tokio::select! {
            ended = timeout(limit, ending) => ended.is_ok(),
            signal = self.signals.next() => {
                deadlines.hurry();
                tracing::warn!(signal, "stopping at once");
                false
            }
        };
        if !ended {
            // Usually only the proxy still runs, because clients are still sending: a target ends soon after `stop` and
            // counts its profiles.
            let aborted = timeout(ABORTING, self.parts.shutdown()).await;
            if aborted.is_err() {
                tracing::error!("a task does not end");
            }
        }
    }

    /// Logs the counts of each target, and returns the error of a part that has crashed.
    fn last_words(self) -> Option<anyhow::Error> {
        for (target, counts) in self.snapshots() {
            let (sent, lost) = (
                counts.sent.profiles,
                counts.dropped(Reason::Shutdown).profiles,
            );
            // These profiles are on disk, for the next process.
            let kept = counts.pending.profiles;
            if lost > 0 {
                tracing::warn!(
                    target,
                    sent,
                    lost,
                    kept,
                    "stopped before all profiles were delivered"
                );
            } else {
                tracing::info!(target, sent, kept, "stopped");
            }
        }
        self.crashed
    }

    fn snapshots(&self) -> impl Iterator<Item = (&str, pyrotee_queue::Counts)> {
        self.views
            .iter()
            .map(|target| (target.name.as_str(), target.counts()))
    }
}

fn crash(error: Option<JoinError>) -> anyhow::Error {
    let error = error.map_or_else(|| anyhow!("it ended by itself"), anyhow::Error::from);
    let error = error.context("a part of the relay crashed, which is a bug");
    tracing::error!(error = &*error, "stopping");
    error
}
