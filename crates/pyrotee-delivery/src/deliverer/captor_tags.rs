//! The tags of profiles that another relay captured.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use pyroscope_wire::Tags;
use pyrotee_queue::{Record, lock};

use crate::failure_log::FailureLog;

/// How many texts are remembered: relays that share a backlog differ in few tags, such as the name of their pod.
const REMEMBERED: usize = 32;

/// The tags that were read last, so that each text is read once, and its profiles share one value.
#[derive(Debug, Default)]
pub(super) struct CaptorTags {
    /// The oldest first.
    read: Mutex<VecDeque<Reading>>,
}

/// A text and its tags; `None` if they cannot be read.
type Reading = (Arc<str>, Option<Arc<Tags>>);

impl CaptorTags {
    /// The tags for `record`: those of the relay that captured it, or `own` if this relay did or if the tags cannot be
    /// read, which is logged in `log` for `target`.
    pub(super) fn of(
        &self,
        record: &Record,
        own: &Arc<Tags>,
        log: &FailureLog,
        target: &str,
    ) -> Arc<Tags> {
        let Some(text) = &record.head().captor_tags else {
            return Arc::clone(own);
        };
        self.read(text).unwrap_or_else(|| {
            log.unreadable_tags(target);
            Arc::clone(own)
        })
    }

    fn read(&self, text: &Arc<str>) -> Option<Arc<Tags>> {
        let mut read = lock(&self.read);
        if let Some((_, tags)) = read.iter().find(|(known, _)| known == text) {
            return tags.clone();
        }
        let tags = Tags::read(text).map(Arc::new);
        if read.len() >= REMEMBERED {
            read.pop_front();
        }
        read.push_back((Arc::clone(text), tags.clone()));
        tags
    }
}
