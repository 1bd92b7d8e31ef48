//! What is known of a target, for people: the states it can be in and what happened last.

use std::time::{Duration, SystemTime};

use pyroscope_wire::Surface;

/// Whether a target is given profiles, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// It takes what it is given, as far as is known.
    Healthy,
    /// It asked for less: the next upload waits.
    Throttled,
    /// It cannot be reached or fails: one probe at a time is all that goes out.
    Open,
    /// It refuses every upload of at least one surface, and takes others.
    Suspended,
}

impl TargetState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Throttled, Self::Open, Self::Suspended];

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Throttled => "throttled",
            Self::Open => "open",
            Self::Suspended => "suspended",
        }
    }
}

/// What is known of a target at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state of the target as a whole.
    pub state: TargetState,
    /// Until somebody may try again; `None` if nobody has to wait.
    pub next_try: Option<Duration>,
    /// The surfaces that it refuses.
    pub suspended: Vec<Suspension>,
    /// When it last took a profile.
    pub last_success: Option<SystemTime>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// Uploads tried since the start.
    pub attempts: u64,
    /// Uploads under way.
    pub in_flight: usize,
    /// Uploads that may be under way at once, now.
    pub limit: usize,
    /// The most that `limit` can become.
    pub workers: usize,
}

/// A surface whose uploads the target refuses, whatever is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The surface.
    pub surface: Surface,
    /// Until it is probed; `None` while the probe is under way.
    pub next_try: Option<Duration>,
}

/// An upload that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// What was made of it: the `outcome` label.
    pub outcome: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// One line of what the target said or why it said nothing, without the target's secrets.
    pub text: String,
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
