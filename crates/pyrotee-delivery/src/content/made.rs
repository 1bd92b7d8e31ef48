//! Bodies with a target's tags in them, which targets with the same tags share.

use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use pyroscope_wire::Tags;
use pyroscope_wire::encoding::Coding;
use pyroscope_wire::message::Message;
use pyrotee_queue::{Reason, Record, Reservation, Workspace, lock};

/// What was made of one record's body. The record owns it.
///
/// A body lives as long as uploads use it, so that a target that hangs holds one for each of its uploads and no more.
/// Only between an upload and its retry is a body kept without being used, and only while memory is not scarce.
#[derive(Debug, Default)]
pub(super) struct MadeBodies {
    slots: Mutex<Vec<(Arc<Tags>, Arc<Slot>)>>,
    /// The message that a check before the offer has unpacked, for the first delivery.
    checked: Mutex<Option<(Message, Reservation)>>,
}

/// The body with one set of tags. The delivery that makes it holds the lock, and other deliveries wait for the result.
type Slot = tokio::sync::Mutex<SlotState>;

#[derive(Debug, Default)]
enum SlotState {
    #[default]
    Empty,
    /// Uploads use the body, or have used it.
    Used(Weak<MadeBody>),
    /// The next upload is a retry.
    Kept(Arc<MadeBody>),
    /// No body can be made.
    Failed(Reason),
}

/// A body as it is sent.
#[derive(Debug)]
pub(super) struct MadeBody {
    /// The `Content-Encoding` of the upload.
    pub(super) coding: Coding,
    /// Pieces that are never empty.
    pub(super) pieces: Vec<Bytes>,
    pub(super) memory: Memory,
}

/// What the bytes of a [`MadeBody`] are charged to until it is dropped.
#[derive(Debug)]
pub(super) enum Memory {
    /// The records of the budget, while they leave room.
    Records(#[expect(dead_code, reason = "it returns its bytes when it is dropped")] Reservation),
    /// The rest of the workspace that the body was made in.
    Workspace(#[expect(dead_code, reason = "it returns its bytes when it is dropped")] Workspace),
}

/// A use of a [`MadeBody`]: the body is in memory until the last use is dropped.
#[derive(Debug, Clone)]
pub(crate) struct BodyUse {
    pub(super) body: Arc<MadeBody>,
    slot: Arc<Slot>,
}

impl MadeBodies {
    /// Those of `record`; `None` if something else claimed their place.
    pub(super) fn of(record: &Record) -> Option<&Self> {
        record.shared()
    }

    /// Returns the body with `tags`, which `make` makes unless there is one.
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

    /// The message that [`MadeBodies::keep_message`] kept.
    pub(super) fn take_message(&self) -> Option<(Message, Reservation)> {
        lock(&self.checked).take()
    }

    /// The slot of `tags`. A list suffices: few targets have tags, and most of those the same.
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
    /// Keeps the body in memory for a retry, unless memory is scarce or the body takes a part of the workspaces.
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
