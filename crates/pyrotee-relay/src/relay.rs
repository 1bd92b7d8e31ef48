//! The parts of a running relay, and how they start and stop together.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pyrotee_admin::{
    Actions, Admin, AdminTls, Copies, DegradableParts, Guard, Health, Hosts, LetterService,
    OpenSpool, Pages, ReloadNotices, ServiceManager, SharedBacklog, Site, StatusSource,
    UpstreamState,
};
use pyrotee_config::{ListenerTls, Loader};
use pyrotee_net::bind;
use pyrotee_net::server::TlsAcceptor;
use pyrotee_proxy::Proxy;
use pyrotee_queue::{Budget, Supervisor};
use pyrotee_spool::{Monitor, Opening};
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::build_info::{REVISION, VERSION};
use crate::outside::Outside;
use crate::reload::{
    InForce, ReloadHandle, ReloadState, ReloadableParts, Reloader, targets_in_force,
};
use crate::running::{Cause, Running, crash};
use crate::scraping::Scraping;
use crate::settings;
use crate::shared::{FleetTask, SpoolDrain};
use crate::signals::{self, IgnoredSignals, Signals};
use crate::stopping::{Deadlines, LIMIT, Savers};
use crate::summary;
use crate::targets::{DelivererParts, DrainStop, Targets};
use crate::telemetry::{self, DropLog, LogLevelHandle, Scrape};
use crate::upstream::ShownUpstream;
use crate::wiring::{Letters, Queues, degradable_parts};

/// Divisor of the memory limit: the share that the records of all removed targets may take together.
const REMOVED_SHARE: u64 = 4;

/// Maximum time for which the relay is not ready because its spool is being opened.
const OPENING: Duration = Duration::from_secs(2);
/// Interval of the checks whether the spool is open.
const OPENING_STEP: Duration = Duration::from_millis(5);

/// A relay whose sockets are bound.
#[derive(Debug)]
pub(super) struct Relay {
    proxy: Proxy,
    targets: Arc<Targets>,
    reloader: Reloader,
    reload: ReloadHandle,
    config: Arc<ReloadState>,
    scraping: Scraping,
    admin: TcpListener,
    admin_tls: Option<AdminTls>,
    scrape: Scrape,
    drop_log: Arc<DropLog>,
    parts: DegradableParts,
    guard: Guard,
    hosts: Hosts,
    dead_letters: Option<LetterService>,
    spool: Option<OpenSpool>,
    backlog: Option<Arc<dyn SharedBacklog>>,
    fleet: Option<FleetTask>,
    former: Option<SpoolDrain>,
    savers: Savers,
    signals: Signals,
    ignored_signals: IgnoredSignals,
    hangup: Signal,
    /// `shutdown.grace`, which a reload changes.
    grace: watch::Receiver<Duration>,
    manager: Arc<ServiceManager>,
    supervisor: Supervisor,
    /// Cancelled when the relay stops: no new requests are accepted.
    drain: CancellationToken,
    /// Cancelled to make the deliveries end at once.
    stop: CancellationToken,
}

impl Relay {
    /// Builds every part and binds every socket, so that every failure occurs before a client is served. At most `threads`
    /// threads are busy with bodies at once.
    pub(super) fn build(
        loader: Loader,
        in_force: InForce,
        log_level: LogLevelHandle,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let config = &in_force.loaded.config;
        let (signals, ignored_signals) = (Signals::listen()?, IgnoredSignals::listen()?);
        let hangup = signals::hangup()?;
        let metrics = telemetry::install_metrics()?;
        let roots = loader.system_roots().cloned();
        let outside = Outside::open(roots.map_err(Clone::clone)?)?;
        let budget = Budget::for_bodies(config.memory_limit, config.tee.max_body);
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let supervisor = Supervisor::default();

        // Ports come first: a port that is in use ends the process before it has touched a disk.
        let socket = bind(config.listen)
            .context("failed to start the clients' listener: stop the program that has the port, or choose another `listen`")?;
        let (admin, admin_address) = bind(config.admin)
            .context("failed to start the admin listener: stop the program that has the port, or choose another `admin`")?;
        tracing::info!(listener = "admin", address = %admin_address, "listening");

        let first = targets_in_force(config);
        let queues = Queues::open(config, first, &budget, &supervisor, &outside)?;
        let (spool, closer) = queues.spool.unzip();
        let shared = queues.shared.map(|it| (it.backlog, (it.closing, it.fleet)));
        let (backlog, shared) = shared.unzip();
        let (closing, fleet) = shared.unzip();
        let letters = Letters::open(config, spool.as_ref(), &supervisor)?;
        let (dead_letters, writer) = letters.open.unzip();
        let producer = Arc::downgrade(&queues.producer);
        let listen_tls = config.listen_tls.as_ref();
        let listen_tls = listen_tls.map(|it| TlsAcceptor::new(it.tls.clone()));
        let settings = settings::proxy(
            config,
            queues.producer,
            &budget,
            threads,
            &outside,
            listen_tls.clone(),
        )?;
        let proxy = Proxy::new(socket, settings, Handle::current(), drain.clone());
        summary::log(config, proxy.gauges().max_client_connections());

        let scraping = Scraping::start(
            outside.connector()?,
            proxy.entrance(),
            &budget,
            &supervisor,
            vec![proxy.address(), admin_address],
        );

        let (reload, requests) = ReloadHandle::new();
        let deliverer_parts = DelivererParts {
            outside,
            dead_letters: letters.sink,
            refresh: reload.refresh(),
            supervisor: supervisor.clone(),
            stop: stop.clone(),
        };
        let removed_bytes = config.memory_limit / REMOVED_SHARE;
        let targets = Targets::start(
            deliverer_parts,
            queues.registry,
            removed_bytes,
            config.shared.as_ref().map(|shared| shared.max_bytes),
            first,
            queues.queues,
        )?;
        let monitor = spool.as_ref().map(|spool| spool.monitor.clone());
        let savers = Savers {
            spool: monitor.clone().zip(closer),
            dead_letters: dead_letters.clone().zip(writer),
            shared: closing,
        };
        let letter_service = dead_letters.clone().map(|monitor| {
            LetterService::new(monitor, producer, targets.list(), Arc::clone(&budget))
        });
        let state = Arc::new(ReloadState::new(config));
        let scrape = Scrape::new(
            metrics,
            targets.scraped(),
            Arc::clone(&state),
            Arc::clone(&budget),
            proxy.gauges(),
            monitor.clone(),
            dead_letters.clone(),
        );
        let scrape = scrape.with_shared(backlog.clone());
        let parts = degradable_parts(config, spool.as_ref(), dead_letters, backlog.clone());
        let admin_tls = config.admin_tls.as_ref();
        let guard = Guard::new(config.admin_token.clone());
        guard.set_needs_certificate(admin_tls.is_some_and(ListenerTls::requires_certificate));
        let admin_tls = admin_tls.map(|it| AdminTls::new(it.tls.clone()));
        let hosts = Hosts::new(&machine_name(), config.admin_hosts.clone());
        let manager = Arc::new(ServiceManager::from_environment());
        let scrape = scrape.with_tls(Arc::clone(&state), proxy.upstream_tls(), admin_tls.clone());
        let (grace_sender, grace) = watch::channel(config.shutdown_grace);
        let reloadable_parts = ReloadableParts {
            targets: Arc::clone(&targets),
            policy: proxy.policy(),
            scraping: scraping.clone(),
            budget: Arc::clone(&budget),
            upstream: proxy.upstream_tls(),
            upstream_address: config.upstream.as_ref().map(|it| it.address.to_string()),
            listen_tls,
            guard: guard.clone(),
            admin_tls: admin_tls.clone(),
            hosts: hosts.clone(),
            log_level,
            grace: grace_sender,
            threads,
        };
        Ok(Self {
            proxy,
            reloader: Reloader::new(
                loader,
                in_force,
                reloadable_parts,
                Arc::clone(&state),
                requests,
                ReloadNotices::new(Arc::clone(&manager)),
                supervisor.clone(),
            ),
            reload,
            config: state,
            scrape: scrape
                .with_panics(supervisor.clone())
                .with_jobs(scraping.names()),
            scraping,
            admin: admin
                .into_std()
                .context("failed to hand over the admin listener")?,
            admin_tls,
            parts,
            drop_log: Arc::new(DropLog::new(targets.scraped())),
            targets,
            guard,
            hosts,
            dead_letters: letter_service,
            spool,
            backlog,
            fleet,
            former: queues.former,
            savers,
            signals,
            ignored_signals,
            hangup,
            grace,
            manager,
            supervisor,
            drain,
            stop,
        })
    }

    /// Serves until a signal, or until a part ends that should not, and then stops everything.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let health = Arc::new(Health::default());
        let list = self.targets.list();
        let upstream = self
            .proxy
            .upstream_monitor()
            .map(|monitor| -> Arc<dyn UpstreamState> { Arc::new(ShownUpstream(monitor)) });
        let pages = Pages {
            metrics: Box::new(self.scrape),
            status: StatusSource::new(
                list.clone(),
                self.parts,
                Arc::<ReloadState>::clone(&self.config),
                upstream,
                Arc::new(self.scraping.clone()),
            ),
            spool: self.spool.clone(),
            health: Arc::clone(&health),
            copies: Copies::default(),
        };
        let site = Site {
            tls: self.admin_tls,
            pages: Arc::new(pages),
            guard: self.guard,
            hosts: self.hosts,
            actions: Arc::new(Actions::new(
                list.clone(),
                self.spool,
                self.backlog,
                Arc::new(DrainStop(Arc::clone(&self.targets))),
            )),
            dead_letters: self.dead_letters.map(Arc::new),
            reload: Arc::new(self.reload),
        };
        let admin = Admin::start(self.admin, site, self.supervisor)
            .context("failed to start the admin thread")?;
        let mut running = Running {
            parts: JoinSet::new(),
            signals: self.signals,
            targets: list,
            stop: self.stop,
            crashed: None,
        };
        let beating = Arc::clone(&health);
        let mut background = JoinSet::new();
        background.spawn(async move { beating.beat().await });
        let (manager, beating) = (Arc::clone(&self.manager), Arc::clone(&health));
        background.spawn(async move { manager.beat(&beating).await });
        background.spawn(async move {
            self.ignored_signals.log().await;
        });
        let drop_log = Arc::clone(&self.drop_log);
        background.spawn(async move { drop_log.run().await });
        let address = self.proxy.address();
        running.parts.spawn(self.proxy.run());
        // Before the first reload, which has newer jobs.
        self.scraping.apply(&self.config.in_force());
        background.spawn(self.reloader.run(self.hangup, self.drain.clone()));
        if let Some(fleet) = self.fleet {
            background.spawn(fleet.run(Arc::clone(&self.targets)));
        }
        if let Some(former) = self.former {
            // It ends before the savers close the spool.
            let former = former.run(running.targets.clone(), self.drain.clone());
            running.parts.spawn(former);
        }
        let spool = self
            .savers
            .spool
            .as_ref()
            .map(|(monitor, _)| monitor.clone());
        let (ready, manager) = (Arc::clone(&health), Arc::clone(&self.manager));
        let served = running.targets.clone();
        background.spawn(async move {
            await_opening(spool).await;
            ready.set_ready();
            if ready.is_ready() {
                manager.ready(served.load().len());
            }
        });
        tracing::info!(listener = "data", %address, version = VERSION, revision = REVISION, "listening");

        let cause = running.wait_for_the_end().await;
        let grace = *self.grace.borrow();
        let mut deadlines = Deadlines::begin(grace);
        self.manager.stopping(grace.saturating_add(LIMIT));
        match cause {
            Cause::Signal(signal) => tracing::info!(signal, "stopping"),
            Cause::Crash(error) => running.crashed = Some(crash(error)),
        }
        health.set_stopping();
        // First, while the proxy takes the profiles that are being sent.
        running.stop_scraping(&self.scraping, &mut deadlines).await;
        self.drain.cancel();
        let targets = self.targets;
        running.parts.spawn(async move { targets.finished().await });
        running.drain(&mut deadlines).await;
        running.let_go(&mut deadlines).await;
        self.savers.save(deadlines, &mut running.signals).await;
        self.drop_log.last_look();
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
