//! A scraper between stand-ins.

mod app;
mod pprof;
mod relay;
mod series;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyroscope_wire::scrape::default_profiles;
use pyrotee_queue::{Budget, Supervisor, WallClock};
use pyrotee_scrape_config::{HttpClientSettings, Job, JobProfile, Limits, Scheme, Scrape};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::discovery::Discovered;
use crate::target::{Origin, ScrapeTarget};
use crate::{Parts, Scraper, TargetStatus};

pub(super) use app::{App, Reply, response};
pub(super) use pprof::{Heap, cpu, gzip};
pub(super) use relay::Relay;
pub(super) use series::Series;

pub(super) const INTERVAL: Duration = Duration::from_secs(10);

type Sources = Arc<Mutex<HashMap<String, watch::Sender<Arc<Discovered>>>>>;

/// A scraper, its applications and its relay.
pub(super) struct World {
    pub(super) scraper: Scraper,
    pub(super) app: App,
    pub(super) relay: Arc<Relay>,
    pub(super) budget: Arc<Budget>,
    sources: Sources,
}

impl World {
    /// `respond` answers the requests of all applications.
    pub(super) fn new(respond: impl Fn(&app::Head) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_memory(256 << 20, respond)
    }

    pub(super) fn with_memory(
        memory: u64,
        respond: impl Fn(&app::Head) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let app = App::new(respond);
        let relay = Arc::new(Relay::default());
        let budget = Budget::new(memory);
        let started = Instant::now();
        let parts = Parts {
            connector: app.connector(),
            sender: Arc::clone(&relay) as _,
            budget: Arc::clone(&budget),
            supervisor: Supervisor::default(),
            own: Vec::new(),
            clock: WallClock::from_fn(move || start_time() + started.elapsed()),
        };
        let sources = Sources::default();
        let of_job = Arc::clone(&sources);
        let discover = move |job: &Arc<Job>, _: crate::discovery::Context| {
            let mut sources = of_job.lock().unwrap();
            let source = sources.entry(job.name.clone()).or_default();
            source.subscribe()
        };
        Self {
            scraper: Scraper::with_discovery(parts, Box::new(discover)),
            app,
            relay,
            budget,
            sources,
        }
    }

    /// What the discoveries of a job find from now on.
    pub(super) fn discover(&self, job: &str, targets: Vec<ScrapeTarget>) {
        let mut sources = self.sources.lock().unwrap();
        let source = sources.entry(job.to_owned()).or_default();
        source.send_replace(Arc::new(Discovered {
            targets,
            dropped: Vec::new(),
            is_complete: true,
        }));
    }

    pub(super) fn apply(&self, jobs: Vec<Job>, limits: Limits) {
        self.scraper.apply(&Scrape {
            jobs,
            limits,
            ..Scrape::default()
        });
    }

    /// One job with one scrape target and profile, whose first scrape is due within an interval.
    pub(super) fn scrape(&self, target: ScrapeTarget) {
        self.discover("shop", vec![target]);
        self.apply(vec![job("shop")], Limits::default());
    }

    /// Waits for `rounds` scrapes of each loop.
    pub(super) async fn rounds(&self, rounds: u32) {
        sleep(INTERVAL * rounds).await;
        // The last scrape of the interval may be under way.
        sleep(Duration::from_millis(1)).await;
    }

    /// The status of the only scrape target.
    #[track_caller]
    pub(super) fn status(&self) -> TargetStatus {
        let mut all = self.scraper.snapshot();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

/// When each test begins: at the beginning of an interval.
pub(super) fn start_time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(super) fn job(name: &str) -> Job {
    let profiles = default_profiles(false).into_iter().map(|(name, profile)| {
        let profile = JobProfile {
            profile,
            is_enabled: true,
        };
        (name, profile)
    });
    Job {
        name: name.to_owned(),
        interval: INTERVAL,
        timeout: None,
        scheme: Scheme::Http,
        max_body: None,
        profiles: profiles.collect(),
        static_groups: Vec::new(),
        file_discoveries: Vec::new(),
        http_discoveries: Vec::new(),
        client: HttpClientSettings::default(),
    }
}

/// A scrape target for the profile `profile` at `host`.
pub(super) fn target(host: &str, profile: &str) -> ScrapeTarget {
    let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let labels = [
        ("__name__", "shop.cart"),
        ("instance", host),
        ("job", "shop"),
    ];
    ScrapeTarget {
        labels: labels.map(label).into(),
        discovered: BTreeMap::new(),
        url: format!("http://{host}/{profile}").parse().unwrap(),
        profile: profile.to_owned(),
        name: format!("shop.cart{{instance={host},job=shop}}"),
        spy_name: "gospy".to_owned(),
        interval: INTERVAL,
        timeout: Duration::from_secs(15),
        seconds: None,
        origin: Origin::Static,
    }
}

/// A scrape target for a CPU profile of 10 s.
pub(super) fn cpu_target(host: &str) -> ScrapeTarget {
    ScrapeTarget {
        seconds: Some(Duration::from_secs(10)),
        ..target(host, "cpu")
    }
}
