//! Removes expired records from a stream.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use pyrotee_queue::Reason;

use crate::names;
use crate::target::Target;

/// Removes the records that are older than the target's `max-age`, and counts them as [`Reason::Expired`].
///
/// The age counts from the time at which the record entered the stream. These times only grow with the sequences, so that
/// a binary search finds the first record that stays; the times of receipt do not, because a relay may hand an old record
/// over after another relay a young one. A record that expired by its time of receipt earlier is dropped when it is
/// received.
pub(crate) async fn expire(target: &Target, stream: &Stream<()>) -> Result<(), String> {
    let max_age = target.sharing().max_age;
    let Some(limit) = max_age.and_then(|age| SystemTime::now().checked_sub(age)) else {
        return Ok(());
    };
    let info = stream.get_info().await.map_err(|error| error.to_string())?;
    let state = info.state;
    let is_old = |nanoseconds| unix_time(nanoseconds).is_some_and(|stored| stored < limit);
    if state.messages == 0 || !is_old(state.first_timestamp.unix_timestamp_nanos()) {
        return Ok(());
    }
    let (mut low, mut high) = (state.first_sequence, state.last_sequence + 1);
    let all = names::subjects(&target.parts.settings.prefix, &target.name);
    while low < high {
        let middle = low + (high - low) / 2;
        let next = stream.raw_message_builder().sequence(middle);
        match next.next_by_subject(all.clone()).send().await {
            Ok(message) if is_old(message.time.unix_timestamp_nanos()) => {
                low = message.sequence + 1;
            }
            Ok(_) => high = middle,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {
                high = middle;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let purged = stream.purge().sequence(low).await;
    let profiles = purged.map_err(|error| error.to_string())?.purged;
    let counted = target.count_removed(profiles, &state, low, Reason::Expired);
    target.count(|it| it.expired += counted.profiles);
    Ok(())
}

/// A time that the broker wrote, in nanoseconds since 1970. `None`: it wrote the year 1, which stands for no time.
pub(crate) fn unix_time(nanoseconds: i128) -> Option<SystemTime> {
    let nanoseconds = u64::try_from(nanoseconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}
