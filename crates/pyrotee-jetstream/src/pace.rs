//! The times of the tasks, beside those in the settings. Tests shorten them.

use std::time::Duration;

use crate::streams::DUPLICATE_WINDOW;

/// How long the tasks wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// For the acknowledgement of one publish.
    pub(crate) puback: Duration,
    /// From the first publish of a record on during which the stream recognises a repetition. It is the window of the
    /// stream.
    pub(crate) recognised: Duration,
    /// After the producer is gone, before the tunnel takes records that have not waited long: a healthy target takes
    /// them meanwhile.
    pub(crate) head_start: Duration,
    /// Before the next publish to a full stream.
    pub(crate) when_full: Duration,
    /// Shortest and longest time before the next publish after an error.
    pub(crate) after_error: (Duration, Duration),
    /// Shortest and longest time before a consumer is asked again that had no record.
    pub(crate) between_asks: (Duration, Duration),
    /// Between two looks for expired records.
    pub(crate) expire: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let millis = Duration::from_millis;
        let seconds = Duration::from_secs;
        Self {
            puback: seconds(5),
            recognised: DUPLICATE_WINDOW,
            head_start: seconds(1),
            when_full: seconds(1),
            after_error: (millis(100), seconds(5)),
            between_asks: (millis(250), seconds(2)),
            expire: seconds(60),
        }
    }
}
