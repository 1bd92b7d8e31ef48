//! Delivers the profiles in the spool of an earlier configuration: offers each to the queue of its target as this has room.
//!
//! A profile is settled in the spool once the queue of its target has it, and is then as safe as every other profile of a
//! relay with a shared backlog. Profiles of targets that are not in the configuration stay in the spool.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyrotee_admin::{OpenSpool, TargetList};
use pyrotee_config::Target;
use pyrotee_queue::{Budget, Consumer, LeaseFilter, Ledger, Producer, Supervisor};
use pyrotee_segments::inspect::Survey;
use pyrotee_spool::{Closer, Opening, Settings};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::targets::target_queue;

/// Time between two looks whether a queue has room.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Bytes of an index that no spool reaches: at its limit a spool would drop profiles.
const NO_LIMIT: u64 = 1 << 60;

/// Least `max_bytes` of the spool, which only a replay of a removed target's profiles fills.
const LEAST_BYTES: u64 = 1 << 30;

/// The spool of an earlier configuration, and the profiles that leave it.
#[derive(Debug)]
pub(crate) struct SpoolDrain {
    dir: PathBuf,
    /// Keeps the queues of the spool open.
    spool: Arc<dyn Producer>,
    monitor: pyrotee_spool::Monitor,
    queues: Vec<FormerQueue>,
    /// Takes the profiles. A weak reference, because a strong one would keep the queues open when the relay stops.
    producer: Weak<dyn Producer>,
}

/// The profiles of one target in the spool.
#[derive(Debug)]
struct FormerQueue {
    target: String,
    consumer: Arc<dyn Consumer>,
    ledger: Arc<Ledger>,
}

impl SpoolDrain {
    /// Opens the spool in `dir` with the queues of `targets`; `survey` is its contents. The profiles begin to leave with
    /// [`SpoolDrain::run`].
    pub(crate) fn open(
        dir: &Path,
        survey: &Survey,
        targets: &[Target],
        producer: Weak<dyn Producer>,
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
    ) -> (Self, OpenSpool, Closer) {
        let settings = Settings {
            max_bytes: survey.bytes.saturating_mul(2).max(LEAST_BYTES),
            index_bytes: NO_LIMIT,
            keep_removed_for: Duration::MAX,
            supervisor: supervisor.clone(),
            ..Settings::new(dir)
        };
        let opened = settings.start(targets.iter().map(|it| target_queue(it, None)), budget);
        let queues = targets.iter().zip(opened.queues);
        let queues = queues.map(|(target, queue)| FormerQueue {
            target: target.name.clone(),
            consumer: queue.consumer,
            ledger: queue.ledger,
        });
        let drain = Self {
            dir: dir.to_owned(),
            spool: opened.producer,
            monitor: opened.monitor.clone(),
            queues: queues.collect(),
            producer,
        };
        let open = OpenSpool {
            dir: dir.to_owned(),
            monitor: opened.monitor,
            control: opened.control,
        };
        (drain, open, opened.closer)
    }

    /// Delivers until `stop`: a replay may bring further profiles.
    pub(crate) async fn run(self, targets: TargetList, stop: CancellationToken) {
        let _open_until_the_end = self.spool;
        let pending = self.queues.iter().map(|queue| Arc::clone(&queue.ledger));
        let pending: Vec<_> = pending.collect();
        let mut tasks = JoinSet::new();
        for queue in self.queues {
            let (targets, producer) = (targets.clone(), Weak::clone(&self.producer));
            tasks.spawn(async move { queue.drain(&targets, &producer).await });
        }
        tasks.spawn(async move {
            let is_open = || self.monitor.opening() == Opening::Open;
            let left = || -> u64 {
                let pending = pending.iter();
                pending.map(|it| it.snapshot().pending.profiles).sum()
            };
            while !is_open() || left() > 0 {
                sleep(Duration::from_secs(1)).await;
            }
            let removed: u64 = self
                .monitor
                .removed()
                .iter()
                .map(|it| it.counts.pending.profiles)
                .sum();
            tracing::info!(
                dir = %self.dir.display(),
                of_removed_targets = removed,
                "former spool is drained: shared.drain-spool may be removed"
            );
        });
        stop.cancelled().await;
        // Ends the leases, before the spool is closed.
        tasks.shutdown().await;
    }
}

impl FormerQueue {
    /// Offers the profiles to the queue of the target, the oldest first. Ends if the target is removed: its other profiles
    /// stay in the spool.
    async fn drain(self, targets: &TargetList, producer: &Weak<dyn Producer>) {
        let mut moved = 0_u64;
        while let Some(lease) = self.consumer.lease(&LeaseFilter::ANY).await {
            let record = Arc::clone(lease.record());
            loop {
                let target = targets.find(&self.target);
                let target = target.filter(|target| !target.is_draining());
                let (Some(target), Some(producer)) = (target, producer.upgrade()) else {
                    tracing::warn!(
                        target = self.target,
                        moved,
                        left = self.ledger.snapshot().pending.profiles,
                        "stopped to deliver from the former spool: the target was removed, or the relay stops"
                    );
                    return;
                };
                if target.has_room_for(record.len()) {
                    let offered = producer.offer_to_target(target.id, &record);
                    // The loss of an oversized record is counted for the target.
                    if offered.queued > 0 || offered.oversized {
                        break;
                    }
                }
                drop((producer, target));
                sleep(BETWEEN_LOOKS).await;
            }
            lease.ack();
            moved += 1;
        }
    }
}
