//! The steps whose instructions are counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pyroscope_wire::{Coding, Encoding, Message, Surface, Tags, ingest};
use pyrotee_jetstream::Opened;
use pyrotee_net::Resolver;
use pyrotee_queue::{
    Budget, Consumer, Head, Headers, LeaseFilter, Limits, Payload, Producer, Record, Sharing,
    Supervisor, SurfaceId, TargetQueue, WhenFull, open_memory,
};
use pyrotee_spool::{Fsync, Settings};

use super::allocations::relay_to_upstream;
use super::table::TOLERANCE;

/// One step in the life of a profile, which can be repeated and counted.
pub(crate) struct Step {
    /// Name of the step on the command line.
    pub(crate) name: &'static str,
    /// Description of the step in the table of `docs/counts.md`.
    pub(crate) what: &'static str,
    /// Largest accepted growth, in percent of the committed count.
    pub(crate) tolerance: u64,
    /// Runs the step the given number of times.
    run: fn(u64),
}

const fn step(name: &'static str, what: &'static str, run: fn(u64)) -> Step {
    Step {
        name,
        what,
        tolerance: TOLERANCE,
        run,
    }
}

pub(crate) const STEPS: [Step; 9] = [
    Step {
        // A request waits for its offer.
        tolerance: 2,
        ..step("offer", "memory queue: offer to 3 targets", offer)
    },
    step("name", "put two tags into a name of three labels", name),
    step(
        "push",
        "put two tags into a Push of 2 series and 100 KB",
        push,
    ),
    step(
        "memory",
        "memory queue: offer to 3 targets, lease and ack by each",
        memory,
    ),
    step(
        SHARED_OFFER.0,
        "shared backlog: offer to 3 targets",
        shared_offer,
    ),
    step(
        SHARED.0,
        "shared backlog: offer to 3 targets, lease and ack by each",
        shared,
    ),
    step(
        "spool",
        "spool: offer 50 KB to 3 targets and have it written",
        spool,
    ),
    step("drain", "spool: the same, and lease and ack by each", drain),
    step(
        "relay",
        "relay a request of 2 KB, without targets, client and upstream included",
        relay_to_upstream,
    ),
];

/// A step with the shared backlog, and the same step with the memory queue. While targets keep up, an offer, for which a
/// client waits, may cost at most [`MOST_MORE`] percent more.
pub(crate) const SHARED_OFFER: (&str, &str) = ("shared-offer", "offer");
pub(crate) const SHARED: (&str, &str) = ("shared", "memory");
pub(crate) const MOST_MORE: u64 = 2;

/// Runs the step called `name` the given number of times.
pub(crate) fn run(name: &str, times: u64) {
    let known = STEPS.iter().find(|step| step.name == name);
    let step = known.unwrap_or_else(|| panic!("no step {name}"));
    (step.run)(times);
}

fn tags() -> Tags {
    let pairs = [("region", "eu-1"), ("cluster_name", "blue")];
    Tags::parse(pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap()
}

fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_500_000)
}

fn name(times: u64) {
    let tags = tags();
    let query = "name=shop.cpu%7Bpod%3Dcart-1%2Cregion%3Dus%2Cteam%3Dblue%7D&from=1795500000\
                 &until=1795500010&spyName=gospy&sampleRate=100&format=pprof";
    for _ in 0..times {
        let made = ingest::target_query(query, &tags, received()).unwrap();
        std::hint::black_box(made);
    }
}

/// A field of protobuf that has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(value);
    out
}

fn push(times: u64) {
    let label = |key: &str, value: &str| {
        let both = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        field(1, &both)
    };
    let labels = [
        label("__name__", "process_cpu"),
        label("service_name", "shop"),
        label("region", "us"),
    ];
    let sample = field(2, &field(1, &vec![7; 50_000]));
    let series = field(1, &[labels.concat(), sample].concat());
    let body = [Bytes::from([&series[..], &series].concat())];
    let encoding = Encoding::of(Surface::Push, Some(b"application/proto")).unwrap();
    let tags = tags();
    for _ in 0..times {
        let message = Message::read(encoding, Coding::Identity, &body, 1 << 20).unwrap();
        std::hint::black_box(message.tagged(&tags).unwrap());
    }
}

const LIMITS: Limits = Limits {
    records: 10_000,
    bytes: 1 << 30,
    when_full: WhenFull::DropNewest,
};

fn record(budget: &Arc<Budget>, bytes: usize) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(1),
        query: "name=shop.cpu&from=1795500000&until=1795500010".into(),
        content_type: Some(b"binary/octet-stream".as_slice().into()),
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::now(),
        captor_tags: None,
    };
    let reservation = budget.reserve(bytes as u64 + Record::OVERHEAD).unwrap();
    Record::new(head, Payload::from(vec![7; bytes]), reservation)
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}

async fn take(consumer: &dyn Consumer) {
    consumer.lease(&LeaseFilter::ANY).await.unwrap().ack();
}

fn offer(times: u64) {
    let (opened, budget) = (open_memory(targets()), Budget::new(1 << 30));
    runtime().block_on(async {
        for _ in 0..times {
            assert_eq!(opened.producer.offer(&record(&budget, 100)).queued, 3);
        }
    });
    // The records are not freed: that is a part of their delivery.
    std::mem::forget(opened);
}

fn memory(times: u64) {
    let (opened, budget) = (open_memory(targets()), Budget::new(1 << 30));
    runtime().block_on(async {
        for _ in 0..times {
            assert_eq!(opened.producer.offer(&record(&budget, 100)).queued, 3);
            for queue in &opened.queues {
                take(&*queue.consumer).await;
            }
        }
    });
}

/// The shared backlog without a connection: neither this nor a connection is in the way of an offer.
fn open_shared(budget: &Arc<Budget>) -> Opened {
    let (resolver, supervisor) = (Resolver::system().unwrap(), Supervisor::default());
    let mut settings = pyrotee_jetstream::Settings::new(Vec::new(), "counts", resolver, supervisor);
    settings.surfaces = vec![(1, "ingest"), (2, "push"), (3, "otlp")];
    let sharing = Sharing {
        tags: "region=eu-1".into(),
        whose: [7; 16],
        max_age: None,
        timeout: Duration::from_secs(10),
        max_bytes: 1 << 30,
    };
    let targets = targets().map(|target| TargetQueue {
        sharing: Some(sharing.clone()),
        ..target
    });
    settings.open(targets, budget)
}

fn shared_offer(times: u64) {
    let budget = Budget::new(1 << 30);
    runtime().block_on(async {
        let opened = open_shared(&budget);
        for _ in 0..times {
            assert_eq!(opened.producer.offer(&record(&budget, 100)).queued, 3);
        }
        std::mem::forget(opened);
    });
}

fn shared(times: u64) {
    let budget = Budget::new(1 << 30);
    runtime().block_on(async {
        let opened = open_shared(&budget);
        for _ in 0..times {
            assert_eq!(opened.producer.offer(&record(&budget, 100)).queued, 3);
            for queue in &opened.queues {
                take(&*queue.consumer).await;
            }
        }
    });
}

fn targets() -> [TargetQueue; 3] {
    ["a", "b", "c"].map(|name| TargetQueue {
        name: name.to_owned(),
        limits: LIMITS,
        ledger: Arc::default(),
        sharing: None,
    })
}

fn spool(times: u64) {
    with_spool(|producer, _, budget| async move {
        for _ in 0..times {
            append(&*producer, &budget).await;
        }
    });
}

fn drain(times: u64) {
    with_spool(|producer, consumers, budget| async move {
        for _ in 0..times {
            append(&*producer, &budget).await;
            for consumer in &consumers {
                take(&**consumer).await;
            }
        }
    });
}

/// Offers one record after the other, so that the number of records in one write does not depend on the threads.
async fn append(producer: &dyn Producer, budget: &Arc<Budget>) {
    let offered = producer.offer(&record(budget, 50_000));
    assert_eq!(offered.queued, 3);
    assert!(offered.receipt.durable().await);
}

fn with_spool<F: Future<Output = ()>>(
    run: impl FnOnce(Arc<dyn Producer>, Vec<Arc<dyn Consumer>>, Arc<Budget>) -> F,
) {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 30);
    let settings = Settings {
        fsync: Fsync::Never,
        ..Settings::new(dir.path())
    };
    let opened = settings.start(targets(), &budget);
    opened.monitor.wait_until_open().unwrap();
    let consumers = opened.queues.into_iter().map(|queue| queue.consumer);
    runtime().block_on(run(opened.producer, consumers.collect(), budget));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    assert!(opened.closer.close(deadline));
}
