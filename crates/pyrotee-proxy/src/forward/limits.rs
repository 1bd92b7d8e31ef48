//! Limits on the requests, tunnels and gRPC calls to the upstream at once.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::server::BodyGuard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ForwardError;
use crate::upstream_limit::UpstreamLimit;

/// The permits of requests over HTTP/1.1. A request holds a permit until its response has ended, a tunnel until the
/// tunnel ends.
#[derive(Debug)]
pub(super) struct RequestPermits {
    requests: Arc<Semaphore>,
    /// A tunnel holds a permit of these as well, so that tunnels, which may last for ever, leave half of the
    /// connections to requests.
    tunnels: Arc<Semaphore>,
}

/// A permit for one use of the upstream. Dropping the permit ends the use.
#[derive(Debug)]
pub(crate) struct UpstreamPermit {
    _permit: OwnedSemaphorePermit,
}

impl BodyGuard for UpstreamPermit {}

impl RequestPermits {
    /// Permits for an upstream to which at most `max_connections` are opened.
    ///
    /// One connection in 16 has no permit: the pool opens a connection for a request that finds none idle, and the
    /// request may get another connection that becomes idle meanwhile.
    pub(super) fn new(max_connections: usize) -> Self {
        let max = (max_connections - max_connections / 16).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(max)),
            tunnels: Arc::new(Semaphore::new(max.div_ceil(2))),
        }
    }

    /// Waits for the permit of a request, at most for `wait`.
    pub(super) async fn request(&self, wait: Duration) -> Result<UpstreamPermit, ForwardError> {
        acquire(&self.requests, wait, UpstreamLimit::Connections).await
    }

    /// Takes the permit of a tunnel.
    pub(super) fn tunnel(&self) -> Result<UpstreamPermit, ForwardError> {
        let permit = Arc::clone(&self.tunnels).try_acquire_owned();
        let permit = permit.map_err(|_| ForwardError::Saturated(UpstreamLimit::Tunnels))?;
        Ok(UpstreamPermit { _permit: permit })
    }
}

/// Waits for a permit of `permits`, at most for `wait`.
pub(super) async fn acquire(
    permits: &Arc<Semaphore>,
    wait: Duration,
    limit: UpstreamLimit,
) -> Result<UpstreamPermit, ForwardError> {
    let permit = match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => Some(permit),
        // Boxed, because the timer would make the future of every request larger.
        Err(_) => {
            let waiting = Box::pin(tokio::time::timeout(
                wait,
                Arc::clone(permits).acquire_owned(),
            ));
            waiting.await.ok().and_then(Result::ok)
        }
    };
    let permit = permit.ok_or(ForwardError::Saturated(limit))?;
    Ok(UpstreamPermit { _permit: permit })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const WAIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn beyond_the_limit_a_request_waits_for_a_while_and_no_longer() {
        let permits = RequestPermits::new(2);
        let started = Instant::now();
        let first = permits.request(WAIT).await.unwrap();
        let _second = permits.request(WAIT).await.unwrap();
        assert!(started.elapsed().is_zero());
        let refused = permits.request(WAIT).await.unwrap_err();
        assert!(matches!(
            refused,
            ForwardError::Saturated(UpstreamLimit::Connections)
        ));
        assert_eq!(started.elapsed(), WAIT);

        let third = permits.request(WAIT);
        let release = async {
            tokio::time::sleep(WAIT / 2).await;
            drop(first);
        };
        let (third, ()) = tokio::join!(third, release);
        assert!(third.is_ok());
        assert_eq!(started.elapsed(), WAIT * 3 / 2);
    }

    #[test]
    fn tunnels_leave_half_of_the_connections_to_requests() {
        let permits = RequestPermits::new(64);
        let tunnels: Vec<_> = (0..30).map(|_| permits.tunnel().unwrap()).collect();
        assert!(matches!(
            permits.tunnel().unwrap_err(),
            ForwardError::Saturated(UpstreamLimit::Tunnels)
        ));
        drop(tunnels);
        assert!(permits.tunnel().is_ok());
    }

    #[test]
    fn there_is_always_a_permit() {
        for max_connections in [0, 1, usize::MAX] {
            let permits = RequestPermits::new(max_connections);
            assert!(permits.tunnel().is_ok(), "{max_connections}");
        }
    }
}
