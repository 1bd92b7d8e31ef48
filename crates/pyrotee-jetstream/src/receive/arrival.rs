//! Judges a message of the stream when it arrives.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::AckKind;
use async_nats::{Message, Subject};
use pyrotee_queue::{Payload, Reason, Record, Reservation, SurfaceId, Tally};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::lease::{LONGEST_DELAY, delay_until};
use crate::message_key::{Delivery, MessageKey};
use crate::obstacle::Obstacle;
use crate::record::{self, Decoded, Unreadable};
use crate::shelf::Received;
use crate::target::Target;

/// Delay of a record for which the budget has no room.
const WITHOUT_ROOM: Duration = Duration::from_secs(1);

/// The surface of a message. `None`: it is not a message of a stream of this crate.
pub(super) fn surface_of(message: &Message) -> Option<SurfaceId> {
    let surface = message.subject.rsplit('.').next()?;
    surface.parse().ok().map(SurfaceId)
}

impl Target {
    /// Buffers a record that arrived, or gives it back. `charged`: what was charged for it. `None`: it was asked for too
    /// long ago.
    pub(super) fn arrived(&self, message: &Message, charged: Option<Reservation>) {
        let reply = message.reply.clone();
        let Some((reply, Delivery { key, times })) =
            reply.and_then(|it| Delivery::of(&it).map(|is| (it, is)))
        else {
            return;
        };
        if times > 1 {
            self.count(|it| it.redelivered += 1);
        }
        if self.shelf.renew(key, &reply) {
            return;
        }
        let answer = self.shelf.final_answer(key);
        if let Some(answer) = answer.or_else(|| self.judge(message, key, &reply, charged)) {
            self.shelf.answer(key, reply, answer);
        }
    }

    /// Buffers a record, or returns the answer that the broker gets at once.
    fn judge(
        &self,
        message: &Message,
        key: MessageKey,
        reply: &Subject,
        charged: Option<Reservation>,
    ) -> Option<AckKind> {
        let sharing = self.sharing();
        let decoded = match record::decode(&message.payload) {
            Ok(decoded) => decoded,
            Err(Unreadable::Corrupt) => return Some(self.damaged(message, key.sequence)),
            Err(Unreadable::Newer(version)) => return Some(self.newer(version)),
        };
        if decoded.whose != sharing.whose {
            return Some(self.mismatched());
        }
        let bytes = decoded.body.len() as u64;
        if self.is_expired(&decoded, sharing.max_age) {
            let ledger = self.queue.ledger();
            ledger.drop_shared(Tally::of(bytes), Reason::Expired);
            self.count(|it| it.expired += 1);
            return Some(AckKind::Term);
        }
        let mut history = decoded.history;
        if let Some(given_back) = self.shelf.given_back(key) {
            if given_back.due > Instant::now() + TOO_EARLY {
                return Some(AckKind::Nak(Some(delay_until(given_back.due))));
            }
            history = given_back.history;
        }
        let Some(record) = self.charged(decoded, charged) else {
            return Some(AckKind::Nak(Some(WITHOUT_ROOM)));
        };
        let received = Received {
            record,
            history,
            key,
            reply: reply.clone(),
            wanted_at: Instant::now(),
        };
        // Counted first: the record may be settled as soon as it is buffered.
        self.queue.ledger().take_over(bytes);
        if self.shelf.add(received).is_err() {
            self.queue.ledger().hand_over(bytes);
            return Some(AckKind::Nak(None));
        }
        self.queue.notify();
        None
    }

    /// Copies the record, because the message is a part of the buffer that the connection reads into.
    fn charged(&self, decoded: Decoded<'_>, charged: Option<Reservation>) -> Option<Arc<Record>> {
        let cost = (decoded.body.len() + decoded.head.len()) as u64 + Record::OVERHEAD;
        let budget = &self.parts.budget;
        let mut charged = charged.or_else(|| budget.reserve(0))?;
        charged.resize(cost).then(|| {
            let body = Payload::from(decoded.body.to_vec());
            Record::new(decoded.head, body, charged)
        })
    }

    fn is_expired(&self, decoded: &Decoded<'_>, max_age: Option<Duration>) -> bool {
        let limit = max_age.and_then(|age| SystemTime::now().checked_sub(age));
        limit.is_some_and(|limit| decoded.head.received < limit)
    }

    fn damaged(&self, message: &Message, sequence: u64) -> AckKind {
        self.count(|it| it.corrupt += 1);
        let bytes = message.payload.len() as u64;
        let ledger = self.queue.ledger();
        ledger.drop_shared(Tally::of(bytes), Reason::Corrupt);
        if let Some(left_out) = self.log.due("corrupt") {
            let stream = &self.stream;
            error!(
                stream,
                sequence,
                remedy = "check the disks of the NATS servers",
                left_out,
                "a profile of the shared backlog is damaged, and dropped"
            );
        }
        AckKind::Term
    }

    fn newer(&self, version: u32) -> AckKind {
        self.count(|it| it.unknown_version += 1);
        if let Some(left_out) = self.log.due("version") {
            let stream = &self.stream;
            warn!(
                stream,
                version,
                remedy = "update this relay",
                left_out,
                "a newer pyrotee wrote a profile of the shared backlog"
            );
        }
        AckKind::Nak(Some(LONGEST_DELAY))
    }

    fn mismatched(&self) -> AckKind {
        self.count(|it| it.mismatched += 1);
        let obstacle = Obstacle::Mismatched;
        self.obstacles.meet(obstacle);
        if let Some(left_out) = self.log.due("mismatch") {
            let target = &self.name;
            warn!(
                target,
                remedy = obstacle.remedy(),
                left_out,
                "another relay hands profiles over for another address or tenant, and they are given back"
            );
        }
        AckKind::Nak(Some(LONGEST_DELAY))
    }
}

/// A record is leased so long before its retry is due. The delays of the broker are not exact.
const TOO_EARLY: Duration = Duration::from_millis(50);
