//! Tests of what metrics and logs show of settings that change.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Subscriber};

use super::*;
use crate::Credentials;
use crate::metrics::{RETRIES, RETRY_AFTER, SENT_BYTES};

/// The counters and gauges of a test, by name and labels.
#[derive(Debug, Default)]
struct Series(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Series {
    fn of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels = key.labels().map(|it| format!(" {}", it.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    /// The value, as a counter counts or as a gauge stores it; `None` if there is no such series.
    fn bits(&self, name: &str) -> Option<u64> {
        let series = self.0.lock().unwrap();
        series.get(name).map(|value| value.load(SeqCst))
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.bits(name).expect("the gauge exists"))
    }
}

impl Recorder for Series {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The log lines of a test: level and message.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("pyrotee_delivery")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = (*event.metadata().level(), message.0);
        self.0.lock().unwrap().push(line);
    }
}

fn with_token(token: &str) -> Settings {
    Settings {
        credentials: Some(Credentials::Bearer(token.into())),
        ..settings()
    }
}

#[tokio::test(start_paused = true)]
async fn another_address_has_series_of_its_own_and_no_pause() {
    let series = Series::default();
    let _recorder = set_default_local_recorder(&series);
    let at = |host: &str| Settings {
        address: Address::parse(&format!("http://{host}")).unwrap().address,
        ..settings()
    };
    let rig = Rig::with(
        &at("old"),
        Server::new(|upload| match (upload.host.as_str(), upload.index) {
            ("new:80" | "new", _) | (_, 0) => Act::OK,
            _ => Act::Answer {
                status: 429,
                headers: vec![("Retry-After", "200".to_owned())],
                text: "enough".to_owned(),
            },
        }),
    );
    rig.offer("first");
    rig.settled().await;
    rig.offer("second");
    pause(1.0).await;
    let asked = format!("{RETRY_AFTER} central");
    let sent = |host: &str| series.bits(&format!("{SENT_BYTES} central http://{host}"));
    assert!(series.gauge(&asked) > 0.0);
    assert_eq!((sent("old"), sent("new")), (Some(200), None));
    rig.handle.update(&at("new")).unwrap();
    assert!(series.gauge(&asked).abs() < f64::EPSILON);
    assert_eq!(rig.settled().await.sent.profiles, 2);
    assert_eq!((sent("old"), sent("new")), (Some(200), Some(100)));
    assert_eq!(series.bits(&format!("{RETRIES} central")), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_helps_is_one_line_and_each_of_its_retries_is_counted() {
    let (series, lines) = (Series::default(), Lines::default());
    let _recorder = set_default_local_recorder(&series);
    let _subscriber = tracing::subscriber::set_default(lines.clone());
    let handle = Arc::<std::sync::OnceLock<TargetHandle>>::default();
    let later = Arc::clone(&handle);
    let refresh = CredentialRefresh::new(move || {
        let handle = later.get().expect("it is set").clone();
        async move { handle.update(&with_token("new")).unwrap() }
    });
    let server = Server::new(|upload| match upload.authorization.as_str() {
        "Bearer new" => Act::OK,
        _ => Act::answer(401, "who?"),
    });
    let (old, servers) = (with_token("old"), [server]);
    let [rig] = Rig::over_queues(&old, servers, LIMITS, |queue| queue, &refresh);
    handle.set(rig.handle.clone()).expect("it is set once");
    for number in 0..40 {
        rig.offer(&format!("app{number}"));
    }
    assert_eq!(rig.settled().await.sent.profiles, 40);
    let message = "target refused credentials that have changed: retrying with the new ones";
    assert_eq!(lines.take(), [(Level::INFO, message.to_owned())]);
    let retries = series.bits(&format!("{RETRIES} central"));
    let refused = rig.server.names().len() as u64 - 40;
    assert_eq!(retries, Some(refused));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_outage_by_new_settings_is_one_line() {
    let lines = Lines::default();
    let _subscriber = tracing::subscriber::set_default(lines.clone());
    let rig = Rig::new(Server::new(|upload| match upload.authorization.as_str() {
        "Bearer new" => Act::OK,
        _ => Act::Hang,
    }));
    for number in 0..100 {
        rig.offer(&format!("app{number}"));
    }
    pause(60.0).await;
    assert!(!lines.take().is_empty());
    rig.handle.update(&with_token("new")).unwrap();
    assert_eq!(rig.settled().await.sent.profiles, 100);
    let message = "target has new settings: uploads start again";
    let of_state = lines
        .take()
        .into_iter()
        .filter(|(_, it)| it.starts_with("target "));
    let of_state: Vec<_> = of_state.collect();
    assert_eq!(of_state, [(Level::INFO, message.to_owned())]);
}
