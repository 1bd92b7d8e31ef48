//! Makes room in a full stream.

use pyrotee_queue::Reason;

use crate::link::Session;
use crate::target::Target;

/// One part in so many of the records of a full stream is dropped at a time.
const PART: u64 = 100;

impl Target {
    /// Drops the oldest hundredth of the records of the full stream, as [`Reason::QueueFull`], unless another publish has
    /// done so since there were `purges` purges.
    pub(super) async fn make_room(&self, session: &Session, purges: u64) -> Result<(), String> {
        let mut done = self.purges.lock().await;
        if *done != purges {
            return Ok(());
        }
        let stream = session.jetstream.get_stream_no_info(&self.stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let state = stream.get_info().await.map_err(|it| it.to_string())?.state;
        let profiles = (state.messages / PART).max(1);
        // Some of the sequences may be empty: then fewer records go, and the next publish makes room again.
        let below = state.first_sequence.saturating_add(profiles);
        let purged = stream.purge().sequence(below).await;
        let profiles = purged.map_err(|error| error.to_string())?.purged;
        self.count_removed(profiles, &state, below, Reason::QueueFull);
        *done += 1;
        Ok(())
    }
}
