//! The status of a target, as the status page shows it.

use std::time::{Duration, SystemTime};

use pyroscope_wire::Surface;

/// The state of a target in one word: whether profiles are sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Uploads are sent. A circuit breaker may be open for a few seconds, while probes verify whether the target or the
    /// records cause failures.
    Healthy,
    /// Uploads are sent, but for a minute the target has accepted nothing and refused at least three profiles.
    Rejecting,
    /// The target asked for a pause: no upload starts before the pause is over.
    Throttled,
    /// The target's circuit breaker is open, because the target cannot be reached or fails: one probe at a time is
    /// sent.
    Open,
    /// The target refuses every upload of at least one surface: that surface is suspended.
    Suspended,
}

impl TargetState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Healthy,
        Self::Rejecting,
        Self::Throttled,
        Self::Open,
        Self::Suspended,
    ];

    /// Whether uploads are blocked, at least those of one surface.
    pub(crate) const fn is_outage(self) -> bool {
        match self {
            Self::Healthy | Self::Rejecting => false,
            Self::Throttled | Self::Open | Self::Suspended => true,
        }
    }

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Rejecting => "rejecting",
            Self::Throttled => "throttled",
            Self::Open => "open",
            Self::Suspended => "suspended",
        }
    }
}

/// The status of a target at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// The state of the target as a whole.
    pub state: TargetState,
    /// Time until the next attempt; `None` if uploads are not blocked, or a probe is in flight.
    pub next_try: Option<Duration>,
    /// The suspended surfaces.
    pub suspended: Vec<SuspendedSurface>,
    /// When the target last acknowledged a profile; `None` if it never has.
    pub last_success: Option<SystemTime>,
    /// The last upload that failed; `None` if none has.
    pub last_error: Option<LastError>,
    /// When the certificate expires that the target showed last. `None` if it has shown none: it has not been reached yet,
    /// or does not use TLS.
    pub certificate_expiry: Option<SystemTime>,
    /// Uploads since the start of the process, retries included.
    pub attempts: u64,
    /// Uploads in flight, apart from those that began with a replaced flow control: see [`TargetHandle::update`](crate::TargetHandle::update).
    pub in_flight: usize,
    /// The concurrency limit: how many uploads may be in flight now.
    pub limit: usize,
    /// `limit` is as high as `queue-workers` allows, and uploads reached it within the last minute.
    pub at_ceiling: bool,
    /// Upper bound of `limit`.
    pub workers: usize,
}

/// A surface whose uploads the target refuses regardless of their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspendedSurface {
    /// The surface.
    pub surface: Surface,
    /// Time until the next probe; `None` while a probe is in flight.
    pub next_try: Option<Duration>,
}

/// An upload that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When the upload ended.
    pub at: SystemTime,
    /// The value of the `outcome` label.
    pub outcome: &'static str,
    /// Status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// Body of the response or the error: one line, without the target's secrets.
    pub text: String,
    /// What to do about the failure: one imperative sentence.
    pub remedy: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_have_distinct_names() {
        for state in TargetState::ALL {
            let name = state.as_str();
            let twins = TargetState::ALL
                .iter()
                .filter(|other| other.as_str() == name);
            assert_eq!(twins.count(), 1, "{name}");
        }
    }
}
