//! Looks at the numbers of a stream from time to time, and removes what nobody will deliver.

use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::{Info, Stream};
use pyrotee_queue::{SurfaceId, lock};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use crate::expire::{expire, unix_time};
use crate::link::Session;
use crate::names;
use crate::streams::longest;
use crate::target::{Gauges, Target};

/// Time until the stream is provided again that could not be looked at.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What the looks at a stream remember.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    expired_at: Option<Instant>,
    /// How many records the stream held at the last look that no consumer will deliver.
    stranded: u64,
    /// `stranded` when such records were last removed.
    swept: u64,
}

/// A consumer of the stream.
struct Surface {
    surface: SurfaceId,
    info: consumer::Info,
}

impl Looks {
    /// Looks at the stream again and again, until it or a consumer cannot be looked at.
    pub(crate) async fn look(&mut self, target: &Target, session: &Session) {
        let Ok(stream) = session.jetstream.get_stream_no_info(&target.stream).await else {
            return;
        };
        loop {
            if let Err(error) = self.look_once(target, session, &stream).await {
                let stream = &target.stream;
                debug!(stream, error, "failed to look at the stream");
                sleep(AFTER_ERROR).await;
                return;
            }
            sleep(target.parts.settings.timing.look).await;
        }
    }

    async fn look_once(
        &mut self,
        target: &Target,
        session: &Session,
        stream: &Stream<()>,
    ) -> Result<(), String> {
        let pace = target.parts.pace;
        let is_due = self.expired_at.is_none_or(|at| at.elapsed() >= pace.expire);
        if is_due {
            self.expired_at = Some(Instant::now());
            if let Err(error) = expire(target, stream).await {
                let stream = &target.stream;
                debug!(
                    stream,
                    error, "failed to remove expired profiles from the stream"
                );
            }
        }
        let info = stream.get_info().await.map_err(|error| error.to_string())?;
        let mut surfaces = Vec::new();
        for (number, _) in &target.parts.settings.surfaces {
            let surface = SurfaceId(*number);
            let found = stream.consumer_info(names::consumer(surface)).await;
            let info = found.map_err(|error| error.to_string())?;
            surfaces.push(Surface { surface, info });
        }
        let waiting = surfaces.iter().map(Surface::waiting).sum();
        self.note(target, session, &info, waiting);
        let swept = self.sweep(target, stream, &info, &surfaces, waiting).await;
        if let Err(error) = swept {
            let stream = &target.stream;
            debug!(
                stream,
                error, "failed to remove delivered profiles from the stream"
            );
        }
        Ok(())
    }

    fn note(&self, target: &Target, session: &Session, info: &Info, waiting: u64) {
        let state = &info.state;
        let oldest = unix_time(state.first_timestamp.unix_timestamp_nanos());
        *lock(&target.gauges) = Gauges {
            waiting,
            bytes: state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).ok(),
            oldest: oldest.filter(|_| waiting > 0),
            longest: longest(session, &info.config) as u64,
        };
    }

    /// Removes the records that were acknowledged and are in the stream nevertheless, as after a kill of the broker. They
    /// are below the sequence up to which a consumer has acknowledged all, so that no other record can be removed. A
    /// record may just be on its way out, so they are looked at twice.
    async fn sweep(
        &mut self,
        target: &Target,
        stream: &Stream<()>,
        info: &Info,
        surfaces: &[Surface],
        waiting: u64,
    ) -> Result<(), String> {
        let stranded = info.state.messages.saturating_sub(waiting);
        let before = std::mem::replace(&mut self.stranded, stranded);
        // Records of surfaces that only newer relays know are stranded, too, and stay.
        if stranded == 0 || before == 0 || stranded == self.swept {
            return Ok(());
        }
        let mut removed = 0;
        for it in surfaces.iter().filter(|it| it.waiting() == 0) {
            let below = it.info.ack_floor.stream_sequence + 1;
            let purge = stream.purge().filter(target.subject(it.surface));
            let purged = purge.sequence(below).await;
            removed += purged.map_err(|error| error.to_string())?.purged;
        }
        self.swept = stranded - removed.min(stranded);
        if removed > 0 {
            target.count(|it| it.orphans += removed);
            let stream = &target.stream;
            info!(
                stream,
                removed, "removed delivered profiles that the broker had kept"
            );
        }
        Ok(())
    }
}

impl Surface {
    /// Records that the consumer will deliver: those not delivered yet, and those not settled.
    fn waiting(&self) -> u64 {
        self.info.num_pending + self.info.num_ack_pending as u64
    }
}
