//! Which letters there are, and what they take of the disk.

use std::collections::BTreeMap;

use super::Id;

/// What is known without looking at the disk.
#[derive(Debug, Default)]
pub(super) struct Index {
    letters: BTreeMap<Id, u64>,
    /// What all letters take.
    kept: u64,
    /// What letters that are being written may take, and what those take that are being removed.
    promised: u64,
    /// The next letter's number.
    next: u64,
}

impl Index {
    /// The letters that were found, each with the bytes that it takes.
    pub(super) fn of(letters: BTreeMap<Id, u64>) -> Self {
        let last = letters.keys().next_back();
        Self {
            kept: letters.values().sum(),
            next: last.map_or(1, |id| id.number.saturating_add(1)),
            letters,
            promised: 0,
        }
    }

    /// A number for a new letter, given once.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }

    pub(super) fn promise(&mut self, bytes: u64) {
        self.promised += bytes;
    }

    /// What was promised is written, or will not be.
    pub(super) fn keep_promise(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    pub(super) fn insert(&mut self, id: Id, bytes: u64) {
        self.kept += bytes;
        self.letters.insert(id, bytes);
    }

    /// Takes a letter out whose files are about to be removed. Returns its bytes, which stay promised until
    /// [`Self::end_removal`].
    pub(super) fn begin_removal(&mut self, id: &Id) -> Option<u64> {
        let bytes = self.letters.remove(id)?;
        self.kept = self.kept.saturating_sub(bytes);
        self.promise(bytes);
        Some(bytes)
    }

    /// The files are gone, or the letter is still there.
    pub(super) fn end_removal(&mut self, id: &Id, bytes: u64, are_gone: bool) {
        self.keep_promise(bytes);
        if !are_gone {
            self.insert(id.clone(), bytes);
        }
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.letters.contains_key(id)
    }

    /// The oldest first.
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
