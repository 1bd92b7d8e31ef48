//! Targets and a relay for tests.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{Method, StatusCode};
use pyroscope_wire::refusal::Rules;
use pyroscope_wire::tags::Tags;
use pyrotee_delivery::{CredentialRefresh, DeadLetterSink, Deliverer, OnAmbiguous, Settings};
use pyrotee_net::{Address, Connector, Resolver};
use pyrotee_queue::{
    Budget, Head, Headers, Ledger, Limits, OpenBackend, OpenQueue, Payload, Producer, Record,
    Supervisor, SurfaceId, TargetQueue, WallClock, WhenFull, lock, open_memory,
};
use pyrotee_tls::{ClientTls, SystemRoots};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::connection_info::ConnectionInfo;
use crate::json::reload::{ReloadReport, ReloadResult};
use crate::json::scrape::{NEVER, ScrapeTargetJson, UP};
use crate::json::status::ConfigJson;
use crate::routes::router;
use crate::site::SharedSite;
use crate::{
    Actions, BoxFuture, ConfigState, Copies, DegradableParts, Draining, Guard, Health, Hosts,
    Membership, Metrics, Pages, Reload, ScrapeState, Site, StatusSource, TargetList, TargetView,
};

const LIMITS: Limits = Limits {
    records: 100,
    bytes: 1 << 20,
    when_full: WhenFull::DropNewest,
};

/// Queues in memory for targets of these names, and a view of each target.
pub(crate) fn targets<const N: usize>(
    names: [(&str, Membership); N],
) -> (Arc<dyn Producer>, [Arc<TargetView>; N]) {
    let queues = names.map(|(name, _)| TargetQueue {
        name: name.to_owned(),
        limits: LIMITS,
        ledger: Arc::new(Ledger::default()),
        sharing: None,
    });
    let OpenBackend {
        producer, queues, ..
    } = open_memory(queues);
    let mut queues = queues.into_iter();
    let views = names.map(|(name, membership)| {
        view(name, membership, queues.next().expect("a queue per target"))
    });
    (producer, views)
}

fn view(name: &str, membership: Membership, queue: OpenQueue) -> Arc<TargetView> {
    let address = "http://target.example:4040";
    let settings = Settings {
        name: name.to_owned(),
        address: Address::parse(address).unwrap().address,
        tls: None,
        credentials: None,
        tenant: None,
        headers: Vec::new(),
        tags: Tags::default(),
        paths: Default::default(),
        timeout: Duration::from_secs(10),
        workers: 1,
        max_age: None,
        on_ambiguous: OnAmbiguous::Retry,
        replay_rate: None,
        rules: Rules::default(),
    };
    let tls = ClientTls::system(&SystemRoots::load().unwrap()).unwrap();
    let connector = Connector::new(&Resolver::system().unwrap(), &tls);
    let deliverer = Deliverer::new(
        &settings,
        connector,
        Arc::clone(&queue.consumer),
        WallClock::system(),
        DeadLetterSink::disabled(),
        CredentialRefresh::disabled(),
        Supervisor::default(),
    );
    Arc::new(TargetView {
        name: name.to_owned(),
        id: queue.id,
        membership,
        address: address.to_owned(),
        tenant: None,
        workers: 1,
        limits: LIMITS,
        ledger: queue.ledger,
        consumer: queue.consumer,
        monitor: deliverer.unwrap().monitor(),
    })
}

/// A view of a configured target with an empty queue.
pub(crate) fn configured(name: &str) -> Arc<TargetView> {
    let (_, [view]) = targets([(name, Membership::Configured)]);
    view
}

/// A view of a draining target with an empty queue.
pub(crate) fn draining(name: &str) -> Arc<TargetView> {
    let (_, [view]) = targets([(name, removed())]);
    view
}

/// Removed at the Unix epoch, and delivered for ten minutes from then on.
pub(crate) fn removed() -> Membership {
    Membership::Draining {
        since: SystemTime::UNIX_EPOCH,
        until: SystemTime::UNIX_EPOCH + Duration::from_secs(600),
    }
}

/// A record with a body of `bytes`.
pub(crate) fn record(bytes: usize) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(1),
        query: "name=app".into(),
        content_type: None,
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::UNIX_EPOCH,
        captor_tags: None,
    };
    let reservation = Budget::new(1 << 20).reserve(bytes as u64).unwrap();
    Record::new(head, Payload::from(vec![0; bytes]), reservation)
}

/// The part of a relay that reloads: gives prepared responses and notes what it was asked.
#[derive(Debug, Default)]
pub(crate) struct FakeRelay {
    /// The result of every reload and of every stop; `None`: they never end.
    pub(crate) report: Mutex<Option<ReloadReport>>,
    /// The faults of the configuration, for the status page.
    pub(crate) faults: Mutex<Vec<String>>,
    /// The calls, such as `reload` and `stop old`.
    pub(crate) calls: Mutex<Vec<String>>,
}

/// The report of a reload that has this result.
pub(crate) fn report(result: ReloadResult) -> ReloadReport {
    ReloadReport {
        result,
        hash: "0123456789abcdef".to_owned(),
        changes: Vec::new(),
        targets: Vec::new(),
        restart_required: Vec::new(),
        faults: Vec::new(),
        stale_files: Vec::new(),
    }
}

impl FakeRelay {
    fn call<T: Send + 'static>(&self, call: String, result: Option<T>) -> BoxFuture<'_, T> {
        lock(&self.calls).push(call);
        Box::pin(async move {
            match result {
                Some(result) => result,
                None => std::future::pending().await,
            }
        })
    }
}

impl ConfigState for FakeRelay {
    fn state(&self) -> ConfigJson {
        let faults = lock(&self.faults).clone();
        ConfigJson {
            hash: "0123456789abcdef".to_owned(),
            loaded_at: String::new(),
            last_attempt_at: None,
            last_reload_successful: faults.is_empty(),
            faults,
            restart_required: Vec::new(),
            stale_files: Vec::new(),
            unverified_servers: Vec::new(),
            certificate_warnings: Vec::new(),
        }
    }
}

impl ScrapeState for FakeRelay {
    fn jobs(&self) -> usize {
        1
    }

    fn targets(&self) -> Vec<ScrapeTargetJson> {
        vec![ScrapeTargetJson {
            job: "shop".to_owned(),
            url: "http://cart:6060/debug/pprof/heap".to_owned(),
            discovered_labels: Default::default(),
            labels: Default::default(),
            health: UP.to_owned(),
            last_scrape: NEVER.to_owned(),
            last_error: String::new(),
            last_scrape_duration: "0s".to_owned(),
            profile: "mem".to_owned(),
        }]
    }
}

impl Reload for FakeRelay {
    fn reload(&self) -> BoxFuture<'_, ReloadReport> {
        self.call("reload".to_owned(), lock(&self.report).clone())
    }
}

impl Draining for FakeRelay {
    fn stop(&self, name: &str) -> BoxFuture<'_, ()> {
        let ends = lock(&self.report).is_some().then_some(());
        self.call(format!("stop {name}"), ends)
    }
}

#[derive(Debug)]
struct NoMetrics;

impl Metrics for NoMetrics {
    fn render(&self) -> String {
        String::new()
    }

    fn upkeep(&self) {}
}

/// A site, and handles to what it shows.
pub(crate) struct Rig {
    pub(crate) targets: TargetList,
    pub(crate) relay: Arc<FakeRelay>,
    pub(crate) health: Arc<Health>,
    pub(crate) site: Arc<Site>,
}

impl Rig {
    /// A ready relay without a spool, whose reloads change nothing.
    pub(crate) fn new(targets: Vec<Arc<TargetView>>) -> Self {
        let relay = Arc::new(FakeRelay::default());
        *lock(&relay.report) = Some(report(ReloadResult::Unchanged));
        let targets = TargetList::new(targets);
        let health = Arc::new(Health::default());
        health.set_ready();
        let config: Arc<dyn ConfigState> = Arc::<FakeRelay>::clone(&relay);
        let pages = Pages {
            metrics: Box::new(NoMetrics),
            status: StatusSource::new(
                targets.clone(),
                DegradableParts::default(),
                config,
                None,
                Arc::<FakeRelay>::clone(&relay),
            ),
            spool: None,
            health: Arc::clone(&health),
            copies: Copies::default(),
        };
        let draining: Arc<dyn Draining> = Arc::<FakeRelay>::clone(&relay);
        let site = Site {
            tls: None,
            pages: Arc::new(pages),
            guard: Guard::new(None),
            hosts: Hosts::new("relay", Vec::new()),
            actions: Arc::new(Actions::new(targets.clone(), None, None, draining)),
            reload: Arc::<FakeRelay>::clone(&relay),
            dead_letters: None,
        };
        Self {
            targets,
            relay,
            health,
            site: Arc::new(site),
        }
    }

    /// The site's response to a request from this machine, as JSON; `null` if it is text.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        self.ask_as(method, path, "127.0.0.1").await
    }

    /// The site's response to a request from `peer`.
    pub(crate) async fn ask_as(
        &self,
        method: Method,
        path: &str,
        peer: &str,
    ) -> (StatusCode, Value) {
        let info = ConnectionInfo {
            peer: peer.parse().unwrap(),
            is_extra: false,
            has_certificate: false,
        };
        let request = Request::builder().method(method).uri(path).extension(info);
        let request = request.body(Body::empty()).unwrap();
        let site = SharedSite(Arc::clone(&self.site));
        let Ok(response) = router(&site).oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The site alone.
    pub(crate) fn into_site(self) -> Site {
        Arc::try_unwrap(self.site).unwrap()
    }

    /// What the relay was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.relay.calls).clone()
    }
}
