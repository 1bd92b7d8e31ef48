//! Publishes one record until it is known what became of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pyrotee_queue::WhenFull;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::answer::{Answer, publish};
use super::buffer::charged;
use super::taken::Taken;
use crate::link::Session;
use crate::obstacle::Obstacle;
use crate::record;
use crate::target::Target;

/// Time before a publish is repeated that was not answered.
const BEFORE_REPEAT: Duration = Duration::from_millis(200);

/// Time before the next publish when the budget has no room.
const WITHOUT_ROOM: Duration = Duration::from_millis(100);

/// How long no further record is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    For(Duration),
    AfterError,
}

/// One record that is being published.
#[derive(Debug)]
pub(super) struct Publish {
    target: Arc<Target>,
    taken: Taken,
    subject: String,
    id: String,
    /// When the record was first sent. `None`: it was not.
    sent: Option<Instant>,
}

impl Publish {
    pub(super) fn new(target: Arc<Target>, taken: Taken) -> Self {
        let surface = taken.record().map(|(record, _)| record.head().surface);
        Self {
            subject: surface.map_or_else(String::new, |surface| target.subject(surface)),
            id: target.parts.ids.next(),
            target,
            taken,
            sent: None,
        }
    }

    /// Publishes the record. It is handed over at the end, or in its place in the queue again.
    pub(super) async fn run(mut self) -> Pause {
        let bytes = self.taken.len();
        let pause = self.until_known().await;
        if pause == Pause::None {
            self.target.count(|it| {
                it.published += 1;
                it.published_bytes += bytes;
            });
            self.taken.hand_over();
        }
        pause
    }

    /// Publishes until it is known what became of the record. No pause: the stream has it.
    async fn until_known(&mut self) -> Pause {
        let Some(content) = self.content() else {
            return Pause::For(WITHOUT_ROOM);
        };
        let parts = Arc::clone(&self.target.parts);
        let mut has_made_room = false;
        loop {
            let Some(session) = self.session().await else {
                return self.give_up();
            };
            // The semaphore is never closed.
            let permit = parts.permits.acquire().await;
            let begun = Instant::now();
            let purges = *self.target.purges.lock().await;
            let answer = publish(
                &parts.link,
                &session,
                self.subject.clone(),
                &self.id,
                content.clone(),
                parts.pace.puback,
            );
            let answer = answer.await;
            drop(permit);
            match answer {
                Answer::Stored => return Pause::None,
                Answer::NotSent(error) if self.sent.is_none() => return self.failed(&error),
                Answer::NotSent(_) | Answer::Unknown => {
                    let sent = *self.sent.get_or_insert(begun);
                    if sent.elapsed() >= parts.pace.recognised {
                        return self.give_up();
                    }
                    sleep(BEFORE_REPEAT).await;
                }
                Answer::Full if self.drops_oldest() && !has_made_room => {
                    has_made_room = true;
                    if let Err(error) = self.target.make_room(&session, purges).await {
                        return self.failed(&error);
                    }
                }
                Answer::Full => {
                    self.target.count(|it| it.full += 1);
                    self.tell_full();
                    return Pause::For(parts.pace.when_full);
                }
                Answer::NoStream => {
                    self.target.recheck.notify_one();
                    return self.failed("no stream takes the record");
                }
                Answer::Refused(error) => return self.failed(&error),
            }
        }
    }

    fn content(&self) -> Option<Bytes> {
        let (record, history) = self.taken.record()?;
        let sharing = self.target.sharing();
        let len = record::message_len(record, &sharing.tags);
        charged(&self.target.parts.budget, len, || {
            record::encode(record, &sharing.tags, sharing.whose, history)
        })
    }

    /// The session to publish on. Waits for one if the record was sent and may be stored. `None`: the record was not
    /// sent, or it waited too long.
    async fn session(&self) -> Option<Arc<Session>> {
        if let Some(session) = self.target.session() {
            return Some(session);
        }
        let until = self.sent? + self.target.parts.pace.recognised;
        let mut sessions = self.target.sessions();
        let session = timeout_at(until, sessions.wait_for(Option::is_some)).await;
        session.ok()?.ok()?.clone()
    }

    fn drops_oldest(&self) -> bool {
        self.target.limits().when_full == WhenFull::DropOldest
    }

    /// The record goes back to its place without an answer. If it was sent, it may be stored nevertheless, and would be
    /// delivered twice: the stream does not recognise it any more.
    fn give_up(&self) -> Pause {
        if self.sent.is_some() {
            self.target.count(|it| it.possibly_doubled += 1);
        }
        Pause::AfterError
    }

    fn tell_full(&self) {
        self.target.obstacles.meet(Obstacle::Full);
        if let Some(left_out) = self.target.log.due("full") {
            let target = &self.target.name;
            warn!(
                target,
                remedy = Obstacle::Full.remedy(),
                left_out,
                "the shared backlog is full: profiles stay in memory up to the limits of the queue"
            );
        }
    }

    fn failed(&self, error: &str) -> Pause {
        self.target.count(|it| it.publish_failures += 1);
        if let Some(left_out) = self.target.log.due("publish") {
            let target = &self.target.name;
            warn!(
                target,
                error,
                remedy = "see pyrotee shared check",
                left_out,
                "failed to hand a profile over to the shared backlog"
            );
        }
        Pause::AfterError
    }
}
