//! The retry histories of records that this relay gave back to the stream until their retry is due.

use std::collections::BTreeMap;

use pyrotee_queue::RetryHistory;
use tokio::time::Instant;

use crate::message_key::MessageKey;

/// Most histories of a target. Above it the history of the record that is longest in the stream is forgotten: that record
/// begins anew, as it does on another relay.
const MOST: usize = 4_096;

/// Histories by the record's message in the stream.
#[derive(Debug, Default)]
pub(crate) struct Histories(BTreeMap<MessageKey, GivenBack>);

/// What this relay knows of a record that it gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenBack {
    pub(crate) history: RetryHistory,
    /// When the retry is due.
    pub(crate) due: Instant,
}

impl Histories {
    pub(crate) fn keep(&mut self, key: MessageKey, history: RetryHistory, due: Instant) {
        self.0.insert(key, GivenBack { history, due });
        if self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    pub(crate) fn get(&self, key: MessageKey) -> Option<GivenBack> {
        self.0.get(&key).copied()
    }

    pub(crate) fn forget(&mut self, key: MessageKey) {
        self.0.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_histories_are_kept() {
        let mut histories = Histories::default();
        let (due, first) = (Instant::now(), MessageKey::least(1));
        for sequence in 0..=MOST as u64 {
            histories.keep(MessageKey::least(sequence), RetryHistory::default(), due);
        }
        assert_eq!(histories.get(MessageKey::least(0)), None);
        assert!(histories.get(first).is_some());
        histories.forget(first);
        assert_eq!(histories.get(first), None);
    }
}
