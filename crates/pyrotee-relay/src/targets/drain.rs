//! The task that delivers the records of one target.

use std::pin::pin;
use std::sync::Arc;

use pyrotee_delivery::{Deliverer, TargetHandle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// When the delivery of a removed target ends; `None` while the target is in force.
pub(super) type DrainDeadline = watch::Sender<Option<Instant>>;

/// Delivers until the queue of the target is closed and empty, until `deadline` has passed, or until `stop`.
pub(super) async fn deliver(
    deliverer: Deliverer,
    handle: TargetHandle,
    deadline: Arc<DrainDeadline>,
    stop: CancellationToken,
) {
    let mut deadline = deadline.subscribe();
    let mut delivering = pin!(deliverer.run(stop));
    tokio::select! {
        () = &mut delivering => {}
        () = passed(&mut deadline) => {
            handle.stop_draining();
            delivering.await;
        }
    }
}

/// Waits until the deadline has passed, also one that is set or withdrawn meanwhile.
async fn passed(deadline: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let until = *deadline.borrow_and_update();
        let over = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => return,
            changed = deadline.changed() => {
                if changed.is_err() {
                    // The relay has dropped the target.
                    return;
                }
            }
        }
    }
}
