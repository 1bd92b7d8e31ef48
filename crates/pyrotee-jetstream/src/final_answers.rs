//! The final answers of this relay, which a broker may forget.
//!
//! A broker writes what its consumers were answered to disk some time later. If it is killed before, or the connection
//! breaks while the answer is on its way, the relay gets a settled record once more.

use std::collections::VecDeque;

use async_nats::jetstream::AckKind;

use crate::message_key::MessageKey;

/// Most answers of a target that are remembered. Above it the first one is forgotten. A broker that is killed forgets those
/// of the last 0.2 s at most (measured), thus of 2,500 records a second.
const MOST: usize = 512;

/// The last final answers, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct FinalAnswers(VecDeque<(MessageKey, AckKind)>);

impl FinalAnswers {
    /// Remembers an answer, if it is final.
    pub(crate) fn keep(&mut self, key: MessageKey, kind: AckKind) {
        if !matches!(kind, AckKind::Ack | AckKind::Term) {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((key, kind));
    }

    /// The final answer about a message. `None`: there was none, or it is forgotten.
    pub(crate) fn get(&self, key: MessageKey) -> Option<AckKind> {
        let mut latest = self.0.iter().rev();
        latest.find(|(of, _)| *of == key).map(|(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_final_answers_are_remembered() {
        let mut answers = FinalAnswers::default();
        answers.keep(MessageKey::least(0), AckKind::Nak(None));
        for sequence in 0..=MOST as u64 {
            answers.keep(MessageKey::least(sequence), AckKind::Ack);
        }
        answers.keep(MessageKey::least(9), AckKind::Term);
        let of = |sequence| answers.get(MessageKey::least(sequence));
        assert!(of(0).is_none() && of(1).is_none(), "only the last ones are");
        assert!(matches!(of(2), Some(AckKind::Ack)));
        assert!(matches!(of(9), Some(AckKind::Term)), "the last one counts");
        let of_another_stream = MessageKey {
            sequence: 9,
            stored: 1,
        };
        assert!(answers.get(of_another_stream).is_none());
    }
}
