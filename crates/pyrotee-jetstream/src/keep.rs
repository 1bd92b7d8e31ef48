//! Keeps a target's stream usable: provides it on every new session, and looks at its numbers.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::lock;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::link::Session;
use crate::look::Looks;
use crate::streams::{ProvideError, provide};
use crate::target::{StreamState, Target};

/// Longest time to provide a stream.
const TO_PROVIDE: Duration = Duration::from_secs(30);

/// Shortest and longest time before the next attempt to provide a stream.
const BEFORE_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Shortest time between two looks at the stream that something asks for.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);

/// Keeps the stream of `target` usable until the relay stops.
pub(crate) async fn keep(target: Arc<Target>) {
    let mut sessions = target.parts.link.sessions();
    let mut pause = BEFORE_RETRY.0;
    let mut looks = Looks::default();
    loop {
        let session = sessions.borrow_and_update().clone();
        let Some(session) = session else {
            target.set_session(None);
            if sessions.changed().await.is_err() {
                return;
            }
            continue;
        };
        if !try_provide(&target, &session).await {
            target.set_session(None);
            tokio::select! {
                changed = sessions.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    pause = BEFORE_RETRY.0;
                }
                () = sleep(pause) => pause = (pause * 2).min(BEFORE_RETRY.1),
            }
            continue;
        }
        pause = BEFORE_RETRY.0;
        target.set_session(Some(Arc::clone(&session)));
        let provided = Instant::now();
        tokio::select! {
            changed = sessions.changed() => if changed.is_err() { return },
            () = target.recheck.notified() => {
                let since = provided.elapsed();
                sleep(BETWEEN_CHECKS.saturating_sub(since)).await;
            }
            () = looks.look(&target, &session) => {}
        }
    }
}

/// Provides the stream. `false`: it cannot be used, and the state of the target says why.
async fn try_provide(target: &Target, session: &Session) -> bool {
    let spec = target.spec();
    let provided = provide(session, &target.parts.settings, &spec);
    let error = match timeout(TO_PROVIDE, provided).await {
        Ok(Ok(provided)) => {
            let was_ready = *lock(&target.state) == StreamState::Ready;
            target.set_state(StreamState::Ready);
            lock(&target.gauges).longest = provided.longest as u64;
            if !was_ready {
                let (target, stream) = (&target.name, &target.stream);
                info!(target, stream, "the shared backlog is in use");
                for warning in &provided.warnings {
                    warn!(
                        target,
                        stream, warning, "the stream of the shared backlog differs"
                    );
                }
            }
            return true;
        }
        Ok(Err(error)) => error,
        Err(_) => ProvideError::Unanswered {
            what: "describe the stream in time".to_owned(),
            error: format!("waited {TO_PROVIDE:?}"),
        },
    };
    let state = StreamState::Unusable(error.line());
    let was = std::mem::replace(&mut *lock(&target.state), state.clone());
    if was != state {
        let (target, stream) = (&target.name, &target.stream);
        let (error, remedy) = (error.to_string(), error.remedy());
        warn!(
            target,
            stream, error, remedy, "the shared backlog cannot be used: profiles stay in memory"
        );
    }
    false
}
