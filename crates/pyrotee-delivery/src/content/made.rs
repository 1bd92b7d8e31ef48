//! Rewritten bodies: with a target's tags in them, shared by targets with the same tags.

use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use pyroscope_wire::Tags;
use pyroscope_wire::encoding::Coding;
use pyroscope_wire::message::Message;
use pyrotee_queue::{Reason, Record, Reservation, Workspace, lock};

/// The rewritten bodies of one record, at most one for each set of tags. The record owns them.
///
/// A body lives as long as uploads use it, so a target that hangs holds at most one body for each of its uploads. An
/// unused body is kept only between an upload and its retry, and only while memory is not scarce.
#[derive(Debug, Default)]
pub(super) struct MadeBodies {
    slots: Mutex<Vec<(Arc<Tags>, Arc<Slot>)>>,
    /// The message that the check before the offer unpacked, kept for the first delivery.
    checked: Mutex<Option<(Message, Reservation)>>,
}

/// The body with one set of tags. The delivery that makes the body holds the lock; other deliveries wait for the body.
type Slot = tokio::sync::Mutex<SlotState>;

#[derive(Debug, Default)]
enum SlotState {
    #[default]
    Empty,
    /// Uploads use the body, or have used it.
    Used(Weak<MadeBody>),
    /// The body is kept for a retry.
    Kept(Arc<MadeBody>),
    /// No body can be made.
    Failed(Reason),
}

/// A rewritten body, ready to be sent.
#[derive(Debug)]
pub(super) struct MadeBody {
    /// The `Content-Encoding` of the upload.
    pub(super) coding: Coding,
    /// Pieces that are never empty.
    pub(super) pieces: Vec<Bytes>,
    pub(super) memory: Memory,
}

/// The part of the budget to which the bytes of a [`MadeBody`] are charged until the body is dropped.
#[derive(Debug)]
pub(super) enum Memory {
    /// The part for records, if it has room.
    Records(#[expect(dead_code, reason = "it returns its bytes when it is dropped")] Reservation),
    /// The workspace in which the body was made, shrunk to the length of the body.
    Workspace(#[expect(dead_code, reason = "it returns its bytes when it is dropped")] Workspace),
}

/// A use of a [`MadeBody`]: the body is in memory until the last use is dropped.
#[derive(Debug, Clone)]
pub(crate) struct BodyUse {
    pub(super) body: Arc<MadeBody>,
    slot: Arc<Slot>,
}

impl MadeBodies {
    /// The rewritten bodies of `record`; `None` if the record already owns a value of another type.
    pub(super) fn of(record: &Record) -> Option<&Self> {
        record.shared()
    }

    /// Returns the body with `tags`. Calls `make` if there is no such body yet.
    pub(super) async fn get<F>(
        &self,
        tags: &Arc<Tags>,
        make: impl FnOnce() -> F,
    ) -> Result<BodyUse, Reason>
    where
        F: Future<Output = Result<MadeBody, Reason>>,
    {
        let slot = self.slot(tags);
        let mut state = slot.lock().await;
        let body = match &*state {
            SlotState::Failed(reason) => return Err(*reason),
            SlotState::Kept(body) => Some(Arc::clone(body)),
            SlotState::Used(body) => body.upgrade(),
            SlotState::Empty => None,
        };
        let body = match body {
            Some(body) => body,
            None => match make().await {
                Ok(body) => Arc::new(body),
                Err(reason) => {
                    *state = SlotState::Failed(reason);
                    return Err(reason);
                }
            },
        };
        *state = SlotState::Used(Arc::downgrade(&body));
        drop(state);
        Ok(BodyUse { body, slot })
    }

    /// Keeps an unpacked message for the first delivery.
    pub(super) fn keep_message(&self, message: Message, reservation: Reservation) {
        *lock(&self.checked) = Some((message, reservation));
    }

    /// Takes the message that [`MadeBodies::keep_message`] kept.
    pub(super) fn take_message(&self) -> Option<(Message, Reservation)> {
        lock(&self.checked).take()
    }

    /// The slot of `tags`. A list suffices: few targets have tags, and most of them have the same tags.
    fn slot(&self, tags: &Arc<Tags>) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some((_, slot)) = slots.iter().find(|(other, _)| other == tags) {
            return Arc::clone(slot);
        }
        let slot = Arc::<Slot>::default();
        slots.push((Arc::clone(tags), Arc::clone(&slot)));
        slot
    }
}

impl BodyUse {
    /// Keeps the body in memory for a retry, unless memory is scarce or the body is charged to a workspace.
    pub(crate) fn keep_for_retry(self, record: &Record) {
        if matches!(self.body.memory, Memory::Workspace(_)) || record.budget().is_scarce() {
            return;
        }
        if let Ok(mut state) = self.slot.try_lock()
            && let SlotState::Used(_) = *state
        {
            *state = SlotState::Kept(self.body);
        }
    }
}
