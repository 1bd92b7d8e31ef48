//! A queue for three targets, in memory or with a spool, and the code that fills and empties it.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pyrotee_queue::{
    Budget, Consumer, Head, Headers, LeaseFilter, Ledger, Limits, OpenQueue, Payload, Producer,
    Receipt, Record, SurfaceId, TargetQueue, WhenFull, open_memory,
};
use pyrotee_spool::{Closer, Monitor, Settings};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::stopwatch::{Stopwatch, Times, cpu_time};

pub(crate) const TARGETS: usize = 3;

/// Most bytes that are held in memory while records are offered as fast as possible.
const WINDOW: u64 = 32 << 20;

/// An open queue.
pub(crate) struct Rig {
    budget: Arc<Budget>,
    producer: Arc<dyn Producer>,
    pub(crate) consumers: Vec<Arc<dyn Consumer>>,
    pub(crate) ledgers: Vec<Arc<Ledger>>,
    pub(crate) monitor: Option<Monitor>,
    closer: Option<Closer>,
}

/// Measurements of a run at a steady rate.
pub(crate) struct Paced {
    /// Calls of `offer`: the whole time (`offers`), the CPU time (`work`), and the time spent waiting for locks
    /// (`blocked`).
    pub(crate) offers: Times,
    pub(crate) work: Times,
    pub(crate) blocked: Times,
    /// Busy loops of some microseconds between the calls: they show the delays that the machine adds to any call.
    pub(crate) spins: Times,
    /// Times from the offer to its receipt.
    pub(crate) receipts: Times,
    /// CPU time of the process for one record: making, queueing, and leasing for every target.
    pub(crate) cpu: Duration,
}

impl Rig {
    pub(crate) fn memory() -> Self {
        let (budget, targets) = parts();
        let open = open_memory(targets);
        let (consumers, ledgers) = split(open.queues);
        Self {
            budget,
            producer: open.producer,
            consumers,
            ledgers,
            monitor: None,
            closer: None,
        }
    }

    pub(crate) fn spool(settings: Settings) -> Self {
        let (budget, targets) = parts();
        let spool = settings.start(targets, &budget);
        spool.monitor.wait_until_open().unwrap();
        let (consumers, ledgers) = split(spool.queues);
        Self {
            budget,
            producer: spool.producer,
            consumers,
            ledgers,
            monitor: Some(spool.monitor),
            closer: Some(spool.closer),
        }
    }

    /// Starts deliverers that ack every record at once.
    pub(crate) fn deliver(&self, runtime: &Runtime, targets: usize) -> Vec<JoinHandle<()>> {
        let consumers = self.consumers.iter().take(targets).cloned();
        let deliver = |consumer: Arc<dyn Consumer>| async move {
            while let Some(lease) = consumer.lease(&LeaseFilter::ANY).await {
                lease.ack();
            }
        };
        consumers
            .map(|consumer| runtime.spawn(deliver(consumer)))
            .collect()
    }

    /// Offers records of `bytes` at `rate` a second for `time`. Like the relay, it uses a thread of the runtime that
    /// also delivers.
    pub(crate) fn pace(&self, runtime: &Runtime, bytes: usize, rate: u32, time: Duration) -> Paced {
        let (waiting, receipts) = collect_receipts(runtime);
        let (producer, budget) = (Arc::clone(&self.producer), Arc::clone(&self.budget));
        let cpu = cpu_time();
        let offering = async move {
            let (mut offers, mut spins) = (Vec::new(), Vec::new());
            let start = Instant::now();
            while start.elapsed() < time {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let due = start.elapsed().as_secs_f64() * f64::from(rate);
                for _ in offers.len()..due as usize {
                    let record = record(&budget, bytes);
                    let before = Instant::now();
                    let offer = Stopwatch::time(|| producer.offer(&record));
                    drop(record);
                    drop(waiting.send((before, offer.result.receipt)));
                    offers.push((offer.took, offer.cpu, offer.blocked));
                    spins.push(Stopwatch::time(spin).took);
                    tokio::task::yield_now().await;
                }
            }
            (offers, spins)
        };
        let (offers, spins) = runtime.block_on(runtime.spawn(offering)).unwrap();
        let receipts = runtime.block_on(receipts).unwrap();
        let records = u32::try_from(offers.len()).unwrap();
        Paced {
            work: Times::of(offers.iter().map(|(_, work, _)| *work)),
            blocked: Times::of(offers.iter().map(|(_, _, blocked)| *blocked)),
            offers: Times::of(offers.into_iter().map(|(took, ..)| took)),
            spins: Times::of(spins),
            receipts: Times::of(receipts),
            cpu: (cpu_time() - cpu) / records,
        }
    }

    /// Offers `count` records of `bytes` as fast as they leave memory, and returns the time that took.
    pub(crate) fn pour(&self, bytes: usize, count: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            drop(self.producer.offer(&record(&self.budget, bytes)));
            self.wait("room", |rig| rig.budget.recorded() < WINDOW);
        }
        self.wait("bodies to leave memory", |rig| rig.budget.recorded() == 0);
        start.elapsed()
    }

    /// Waits until every target has received all records, and returns the time that took.
    pub(crate) fn drained(&self) -> Duration {
        let start = Instant::now();
        self.wait("all to be delivered", |rig| {
            let mut ledgers = rig.ledgers.iter();
            ledgers.all(|ledger| ledger.snapshot().pending.profiles == 0)
        });
        start.elapsed()
    }

    fn wait(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is(self) {
            assert!(
                start.elapsed() < Duration::from_secs(300),
                "waited for {what}"
            );
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Closes the queue as the relay does: pending records stay on disk.
    pub(crate) fn close(self, runtime: &Runtime, deliverers: Vec<JoinHandle<()>>) {
        drop(self.producer);
        for consumer in &self.consumers {
            consumer.abandon(pyrotee_queue::Reason::Shutdown);
        }
        for deliverer in deliverers {
            runtime.block_on(deliverer).unwrap();
        }
        drop(self.consumers);
        if let Some(closer) = self.closer {
            assert!(closer.close(Instant::now() + Duration::from_secs(60)));
        }
        for ledger in self.ledgers {
            let counts = ledger.snapshot();
            assert!(counts.balance(), "{counts:?}");
        }
    }
}

fn split(queues: Vec<OpenQueue>) -> (Vec<Arc<dyn Consumer>>, Vec<Arc<Ledger>>) {
    let split = queues.into_iter().map(|it| (it.consumer, it.ledger));
    split.unzip()
}

fn parts() -> (Arc<Budget>, Vec<TargetQueue>) {
    let limits = Limits {
        records: 1_000_000,
        bytes: 4 << 30,
        when_full: WhenFull::DropNewest,
    };
    let target = |number| TargetQueue {
        name: format!("target-{number}"),
        limits,
        ledger: Arc::default(),
        sharing: None,
    };
    (Budget::new(4 << 30), (0..TARGETS).map(target).collect())
}

fn record(budget: &Arc<Budget>, bytes: usize) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(1),
        query: "name=app.cpu%7Bpod%3Da%7D&from=1700000000&until=1700000010&format=pprof".into(),
        content_type: Some((*b"binary/octet-stream").into()),
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::now(),
        captor_tags: None,
    };
    let charged = bytes as u64 + Record::OVERHEAD;
    let reservation = budget.reserve(charged).expect("the budget is roomy");
    Record::new(head, Payload::from(vec![0xA5; bytes]), reservation)
}

/// A busy loop that waits for nothing.
fn spin() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(5) {}
}

type Waiting = mpsc::UnboundedSender<(Instant, Receipt)>;

/// Starts a task that waits for receipts in their order, and returns the time of each from its offer.
fn collect_receipts(runtime: &Runtime) -> (Waiting, JoinHandle<Vec<Duration>>) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Receipt)>();
    let collect = runtime.spawn(async move {
        let mut times = Vec::new();
        while let Some((offered, receipt)) = receiver.recv().await {
            assert!(receipt.durable().await, "the disk works");
            times.push(offered.elapsed());
        }
        times
    });
    (sender, collect)
}

/// Bytes of all files of a spool.
pub(crate) fn disk_use(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}
