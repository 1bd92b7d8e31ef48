//! What keeps single profiles out of a stream that is ready, in words for log and status.

use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::Instant;

/// Time for which the status shows an obstacle after it was last met. A profile that was given back comes again after a
/// minute.
const SHOWN: Duration = Duration::from_secs(300);

/// What keeps single profiles out of a stream that is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Obstacle {
    /// The stream has reached its limit of bytes.
    Full,
    /// Records are longer than the server or the stream takes.
    Oversized,
    /// Another relay captured records for another remote.
    Mismatched,
}

impl Obstacle {
    const ALL: [Self; 3] = [Self::Full, Self::Oversized, Self::Mismatched];

    /// What happened, for the status.
    const fn text(self) -> &'static str {
        match self {
            Self::Full => "the stream was full, and profiles stayed in memory",
            Self::Oversized => "profiles were longer than NATS takes, and stayed in memory",
            Self::Mismatched => {
                "another relay had handed profiles over for another address or tenant, and they were given back"
            }
        }
    }

    /// What to do.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Full => {
                "check whether the target takes profiles, then raise shared-max-bytes and, with nats stream edit, \
                 max_bytes of the stream"
            }
            Self::Oversized => {
                "raise max_payload of the NATS servers and, with nats stream edit, max_msg_size of the stream, or send \
                 smaller profiles"
            }
            Self::Mismatched => {
                "give the target the same address and tenant-id on all relays of this shared.prefix, or each \
                 installation a shared.prefix of its own"
            }
        }
    }
}

/// When each obstacle was last met.
#[derive(Debug, Default)]
pub(crate) struct Obstacles(Mutex<[Option<Instant>; Obstacle::ALL.len()]>);

impl Obstacles {
    pub(crate) fn meet(&self, obstacle: Obstacle) {
        if let Some(met) = lock(&self.0).get_mut(obstacle as usize) {
            *met = Some(Instant::now());
        }
    }

    /// The obstacles that were met within the last five minutes, each a line with its remedy.
    pub(crate) fn lines(&self) -> Vec<String> {
        let met = *lock(&self.0);
        let recent = |at: &Option<Instant>| at.is_some_and(|at| at.elapsed() < SHOWN);
        let recent = Obstacle::ALL
            .into_iter()
            .zip(met)
            .filter(|(_, at)| recent(at));
        recent
            .map(|(it, _)| format!("{}: {}", it.text(), it.remedy()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_obstacle_is_shown_with_its_remedy_until_it_was_not_met_for_five_minutes() {
        let obstacles = Obstacles::default();
        assert_eq!(obstacles.lines(), Vec::<String>::new());
        obstacles.meet(Obstacle::Oversized);
        tokio::time::advance(SHOWN / 2).await;
        obstacles.meet(Obstacle::Full);
        let lines = obstacles.lines();
        assert!(
            matches!(&lines[..], [full, long] if full.ends_with(Obstacle::Full.remedy()) && long.contains("max_payload")),
            "{lines:?}"
        );
        tokio::time::advance(SHOWN / 2).await;
        let lines = obstacles.lines();
        assert!(
            matches!(&lines[..], [full] if full.starts_with("the stream was full")),
            "{lines:?}"
        );
    }
}
