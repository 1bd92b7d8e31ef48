//! The index of letters in memory, and the bytes that they take on disk.

use std::collections::BTreeMap;

use super::Id;

/// The letters of a directory, each with the bytes that it takes on disk.
#[derive(Debug, Default)]
pub(super) struct Index {
    letters: BTreeMap<Id, u64>,
    /// Bytes of all letters.
    kept: u64,
    /// Bytes that letters which are being written may take, and bytes of letters that are being removed.
    promised: u64,
    /// Number of the next letter.
    next: u64,
}

impl Index {
    /// An index of the letters that were found, each with the bytes that it takes on disk.
    pub(super) fn of(letters: BTreeMap<Id, u64>) -> Self {
        let last = letters.keys().next_back();
        Self {
            kept: letters.values().sum(),
            next: last.map_or(1, |id| id.number.saturating_add(1)),
            letters,
            promised: 0,
        }
    }

    /// Returns a number for a new letter. No number is returned twice.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }

    pub(super) fn promise(&mut self, bytes: u64) {
        self.promised += bytes;
    }

    /// Gives up `bytes` of a promise: the letter was written or removed, or that failed.
    pub(super) fn keep_promise(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    pub(super) fn insert(&mut self, id: Id, bytes: u64) {
        self.kept += bytes;
        self.letters.insert(id, bytes);
    }

    /// Takes a letter whose files are about to be removed out of the index. Returns its bytes, which stay promised
    /// until [`Self::end_removal`].
    pub(super) fn begin_removal(&mut self, id: &Id) -> Option<u64> {
        let bytes = self.letters.remove(id)?;
        self.kept = self.kept.saturating_sub(bytes);
        self.promise(bytes);
        Some(bytes)
    }

    /// Ends a removal. If not `are_gone`, the letter still exists and is put back into the index.
    pub(super) fn end_removal(&mut self, id: &Id, bytes: u64, are_gone: bool) {
        self.keep_promise(bytes);
        if !are_gone {
            self.insert(id.clone(), bytes);
        }
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.letters.contains_key(id)
    }

    /// The ids of all letters, the oldest first.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = &Id> {
        self.letters.keys()
    }

    pub(super) fn letters(&self) -> u64 {
        self.letters.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.saturating_add(self.promised)
    }
}
