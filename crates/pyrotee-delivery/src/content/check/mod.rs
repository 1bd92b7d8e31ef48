//! Checks, before the response to a client, whether its profile can be sent to any target.

#[cfg(test)]
mod tests;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use pyroscope_wire::encoding::{Coding, Encoding};
use pyroscope_wire::error_response::undecodable_message;
use pyroscope_wire::{Surface, Tags, Undecodable};
use pyrotee_queue::{Check, Record, RecordCheck, Unfit};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::rewrite::{Rewrite, RewriteFault};
use super::{as_received, encoding, surface};

/// Time limit of a check. A record that is not checked by then is offered unchecked, and a delivery that cannot read
/// its body drops it as `undecodable`. SDKs give up after 10 s.
const LIMIT: Duration = Duration::from_secs(3);

/// Checks whether a record can be sent to any of the targets.
///
/// A profile of Push or OTLP goes to a target without tags as it was received: the check does not read its body, except
/// for the frame of a gRPC call. If every target has tags, the body is unpacked and its labels are looked for, on a
/// thread for blocking work. The body of a profile of `/ingest` is never read, because tags go into its query.
#[derive(Debug)]
pub struct ContentCheck {
    /// The distinct sets of tags, without the empty set.
    tags: Arc<[Arc<Tags>]>,
    /// Whether at least one target has no tags.
    has_untagged: bool,
    /// One permit for each body that may be read at once.
    permits: Arc<Semaphore>,
}

impl ContentCheck {
    /// A check for targets with these tags, which keeps at most `threads` threads busy.
    pub fn new<'t>(targets: impl IntoIterator<Item = &'t Tags>, threads: usize) -> Self {
        let mut has_untagged = false;
        let mut tags: Vec<Arc<Tags>> = Vec::new();
        for target in targets {
            if target.is_empty() {
                has_untagged = true;
            } else if tags.iter().all(|known| **known != *target) {
                tags.push(Arc::new(target.clone()));
            }
        }
        Self {
            tags: tags.into(),
            has_untagged,
            permits: Arc::new(Semaphore::new(threads.max(1))),
        }
    }
}

impl RecordCheck for ContentCheck {
    fn check(&self, record: &Arc<Record>) -> Option<Check> {
        let head = record.head();
        // The capture has checked surface and encoding. A record for which either is unknown is left to the deliveries.
        let surface = surface(record).ok().filter(|it| *it != Surface::Ingest)?;
        let encoding = encoding(surface, head).ok()?;
        if self.has_untagged {
            // This reads the first five bytes of a gRPC call, and no byte of another body.
            let frames = record.body().frames();
            let fault = as_received(encoding, head, frames).err()?;
            return Some(refused(fault));
        }
        let coding = match Coding::of(head.content_encoding.as_deref()) {
            Ok(coding) => coding,
            Err(fault) => return Some(refused(fault)),
        };
        let read = read(
            Arc::clone(record),
            encoding,
            coding,
            Arc::clone(&self.tags),
            Arc::clone(&self.permits),
        );
        Some(Box::pin(async {
            timeout(LIMIT, read).await.unwrap_or(Ok(()))
        }))
    }
}

/// Reads the body as a delivery to a target with tags does.
async fn read(
    record: Arc<Record>,
    encoding: Encoding,
    coding: Coding,
    tags: Arc<[Arc<Tags>]>,
    permits: Arc<Semaphore>,
) -> Result<(), Unfit> {
    // The semaphore is never closed.
    let Ok(permit) = permits.acquire_owned().await else {
        return Ok(());
    };
    let rewrite = Rewrite {
        record,
        encoding,
        coding,
        permit: Arc::new(permit),
    };
    match rewrite.check(tags).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(RewriteFault::TooLarge)) => Err(Unfit::TooLarge),
        Ok(Err(RewriteFault::Unreadable(fault))) => {
            Err(Unfit::Unreadable(undecodable_message(&fault)))
        }
        Err(_panicked) => {
            let message = "unmarshal message: failed".to_owned();
            Err(Unfit::Unreadable(message))
        }
    }
}

fn refused(fault: Undecodable) -> Check {
    Box::pin(ready(Err(Unfit::Unreadable(undecodable_message(&fault)))))
}
