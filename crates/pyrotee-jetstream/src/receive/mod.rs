//! Takes records over: receives them from a target's stream while the deliverer asks for backlog.
//!
//! Each record is asked for by a request of its own, which the broker answers at once, with a record or a status. So no
//! request waits at the broker, is forgotten by a broker that restarts, or gets a record for a relay that is gone. The
//! budget is charged before a record is asked for.

mod arrival;
mod asks;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};

use crate::link::Session;
use crate::names;
use crate::shelf::{Answer, MOST_BUFFERED};
use crate::target::{Phase, Target};
use asks::Asks;

/// Longest time for a request to enter the client of NATS. It takes longer if the broker does not read.
const TO_SEND: Duration = Duration::from_secs(5);

/// How long a record stays in a full buffer that nobody asks for.
const UNWANTED_WHEN_FULL: Duration = Duration::from_secs(2);

/// Shortest and longest time between two looks at what is asked for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Time until records are asked for again when the budget has no room.
const WITHOUT_ROOM: Duration = Duration::from_millis(500);

/// A request for one record, which is answered at once.
const ONE: Bytes = Bytes::from_static(br#"{"batch":1,"no_wait":true}"#);

/// The receiver of one target.
#[derive(Debug)]
pub(crate) struct Receiver {
    target: Arc<Target>,
}

/// The receiver on one session.
struct Receiving<'a> {
    target: &'a Target,
    session: &'a Session,
    /// Prefix of the subjects of answers.
    inbox: String,
    asks: Asks,
    /// When the broker is to be told next that the received records are held.
    progress_at: Instant,
    /// When to look again whether records can be asked for.
    ask_at: Instant,
}

impl Receiver {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self { target }
    }

    /// Receives records until the relay stops and no received record is left.
    pub(crate) async fn run(self) {
        let target = &*self.target;
        let (mut sessions, mut phases) = (target.sessions(), target.phases());
        loop {
            let session = sessions.borrow_and_update().clone();
            if let Some(session) = session {
                if self.receive_on(&session).await {
                    return;
                }
                continue;
            }
            if target.phase() == Phase::Finishing && target.shelf.is_empty() {
                return;
            }
            tokio::select! {
                // The senders are in `target`, so these are never errors.
                _ = sessions.changed() => {}
                _ = phases.changed() => {}
                () = target.shelf.wake.notified() => {}
            }
        }
    }

    /// Receives on one session until it ends. Returns whether the relay stops, and no received record is left.
    async fn receive_on(&self, session: &Session) -> bool {
        let target = &*self.target;
        let (mut sessions, mut phases) = (target.sessions(), target.phases());
        let inbox = session.client.new_inbox();
        let subscribing = session.client.subscribe(format!("{inbox}.>"));
        let Ok(Ok(mut subscriber)) = timeout(TO_SEND, subscribing).await else {
            // The session ends soon.
            let _ended = timeout(LONGEST_PAUSE, sessions.changed()).await;
            return false;
        };
        let mut receiving = Receiving {
            target,
            session,
            inbox,
            asks: Asks::new(target),
            progress_at: Instant::now() + target.ack_wait() / 3,
            ask_at: Instant::now(),
        };
        loop {
            let is_current = target
                .session()
                .is_some_and(|it| it.number == session.number);
            if !is_current {
                return false;
            }
            if !receiving.work().await {
                let _ended = timeout(LONGEST_PAUSE, sessions.changed()).await;
                return false;
            }
            if target.phase() == Phase::Finishing && target.shelf.is_empty() {
                // The last lease may have ended since the answers were sent.
                if target.shelf.has_answers() {
                    continue;
                }
                return true;
            }
            tokio::select! {
                message = subscriber.next() => match message {
                    Some(message) => receiving.take_in(&message),
                    None => {
                        let _ended = timeout(LONGEST_PAUSE, sessions.changed()).await;
                        return false;
                    }
                },
                _ = sessions.changed() => {}
                _ = phases.changed() => {}
                () = target.shelf.wake.notified() => {}
                () = sleep_until(receiving.next_look()) => {}
            }
        }
    }
}

impl Receiving<'_> {
    /// Sends what is to be sent. `false`: the session does not take it.
    async fn work(&mut self) -> bool {
        let shelf = &self.target.shelf;
        let now = Instant::now();
        if self.target.phase() == Phase::InForce {
            let unwanted = shelf.unwanted(self.target.ack_wait(), UNWANTED_WHEN_FULL);
            self.target.give_back(unwanted);
        }
        let mut answers = shelf.take_answers();
        if self.progress_at <= now {
            self.progress_at = now + self.target.ack_wait() / 3;
            answers.extend(shelf.progress());
        }
        let mut answers = answers.into_iter();
        while let Some(Answer { reply, content }) = answers.next() {
            if !send(&self.session.client, reply.clone(), None, content.clone()).await {
                let unsent = [Answer { reply, content }].into_iter().chain(answers);
                shelf.keep_answers(unsent.collect());
                return false;
            }
        }
        if self.asks.expire(now) {
            self.target.recheck.notify_one();
        }
        self.ask(now).await
    }

    /// Asks for as many records as may be received. `false`: the session does not take it.
    async fn ask(&mut self, now: Instant) -> bool {
        let target = self.target;
        self.ask_at = now + LONGEST_PAUSE;
        if !target.shelf.is_open() {
            return true;
        }
        if !self.asks.want_any(target.shelf.wanted()) {
            target.shelf.sleep();
            // They may have changed before.
            if !self.asks.want_any(target.shelf.wanted()) {
                return true;
            }
        }
        let budget = &target.parts.budget;
        while target.shelf.buffered() + self.asks.len() < MOST_BUFFERED {
            let Some(surface) = self.asks.next(target.shelf.wanted(), now) else {
                let next = self.asks.next_look(target.shelf.wanted());
                self.ask_at = next.unwrap_or(self.ask_at).max(now + SHORTEST_PAUSE);
                return true;
            };
            let most = self.session.max_payload as u64 + asks::BESIDE;
            // While memory is scarce, the tunnel hands over to make room: what is received here would go back.
            let is_scarce = budget.is_nearly_full() || target.queue.is_pressed();
            let charged = if is_scarce {
                None
            } else {
                budget.reserve(most)
            };
            let Some(charged) = charged else {
                self.ask_at = now + WITHOUT_ROOM;
                return true;
            };
            let number = self.asks.add(surface, charged, now);
            let reply = format!("{}.{number}", self.inbox);
            let subject = names::next_message(&target.stream, surface);
            if !send(&self.session.client, subject.into(), Some(reply), ONE).await {
                return false;
            }
        }
        true
    }

    /// Takes in a record, or the status that answers a request.
    fn take_in(&mut self, message: &Message) {
        match message.status {
            None => {
                let surface = arrival::surface_of(message);
                let charged = surface.and_then(|surface| self.asks.found(surface));
                self.target.arrived(message, charged);
            }
            Some(status) => {
                let number = message.subject.rsplit('.').next();
                let number = number.and_then(|number| number.parse().ok());
                let pace = self.target.parts.pace;
                self.asks.found_none(number, Instant::now(), pace);
                if status == StatusCode::NO_RESPONDERS {
                    self.target.recheck.notify_one();
                }
            }
        }
    }

    fn next_look(&self) -> Instant {
        self.ask_at.min(self.progress_at)
    }
}

/// Sends a message. `false`: the client of NATS does not take it.
async fn send(client: &Client, subject: Subject, reply: Option<String>, content: Bytes) -> bool {
    let sent = async {
        match reply {
            Some(reply) => client.publish_with_reply(subject, reply, content).await,
            None => client.publish(subject, content).await,
        }
    };
    matches!(timeout(TO_SEND, sent).await, Ok(Ok(())))
}
