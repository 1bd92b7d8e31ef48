//! Edits of a message that copy only the new text: the unchanged parts stay slices of the message.
//!
//! A rewrite is a list of edits of the received message. Unknown fields, the order of fields and their
//! spelling stay unchanged, because only the edited ranges are parsed and replaced.

pub(crate) mod json;

mod protobuf;

use std::ops::Range;

use bytes::Bytes;

use crate::proto;
use crate::undecodable::Undecodable;
pub(crate) use protobuf::remove_tagged;

/// The memory that an edit takes beside its text: the edit itself and two pieces of the result.
const EDIT_BYTES: usize = size_of::<Edit>() + 2 * size_of::<Bytes>();

/// The edits of one message.
///
/// The tags may be a hundred times as long as an empty series, so a crafted message could grow without
/// bound. At `limit_bytes` no more edits are stored, and [`Splice::apply`] fails.
#[derive(Debug)]
pub(crate) struct Splice {
    limit_bytes: usize,
    spent: usize,
    edits: Vec<Edit>,
    /// The new text of all edits, in one allocation.
    fresh: Vec<u8>,
    added: usize,
    removed: usize,
}

/// A range of the message, and the range of the new text that replaces it.
#[derive(Debug)]
struct Edit {
    old: Range<usize>,
    new: Range<usize>,
}

/// A length-delimited field that is being edited; its new length is not known yet.
#[derive(Debug)]
pub(crate) struct OpenField {
    edit: usize,
    added: usize,
    removed: usize,
}

impl Splice {
    /// An empty list of edits, which may take `limit_bytes` of memory.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            spent: 0,
            edits: Vec::new(),
            fresh: Vec::new(),
            added: 0,
            removed: 0,
        }
    }

    /// Replaces a range of the message by `text`. Ranges must not overlap.
    pub(crate) fn replace(&mut self, old: Range<usize>, text: &[u8]) {
        if !self.spend(EDIT_BYTES + text.len()) {
            return;
        }
        self.added += text.len();
        self.removed += old.len();
        let start = self.fresh.len();
        self.fresh.extend_from_slice(text);
        let new = start..self.fresh.len();
        self.edits.push(Edit { old, new });
    }

    /// Removes a range of the message.
    pub(crate) fn remove(&mut self, old: Range<usize>) {
        self.replace(old, &[]);
    }

    /// Begins to edit inside a protobuf field; [`Splice::close`] writes the new length of the field.
    pub(crate) fn open(&mut self, field: &proto::Field) -> OpenField {
        let open = OpenField {
            edit: self.edits.len(),
            added: self.added,
            removed: self.removed,
        };
        if self.spend(EDIT_BYTES) {
            let old = field.start..field.value.start;
            self.edits.push(Edit { old, new: 0..0 });
        }
        open
    }

    /// Ends the edits that [`Splice::open`] began, and puts `text` before the old value of the field.
    ///
    /// `source` is the message. The spelling of the field's tag stays unchanged.
    pub(crate) fn close(
        &mut self,
        open: &OpenField,
        source: &[u8],
        field: &proto::Field,
        text: &[u8],
    ) {
        // A tag and a length have at most ten bytes each.
        if !self.spend(20 + text.len()) {
            return;
        }
        let grown = field.value.len() + text.len() + (self.added - open.added);
        let length = grown.saturating_sub(self.removed - open.removed);

        let start = self.fresh.len();
        let tag = source.get(field.start..field.tag_end);
        self.fresh.extend_from_slice(tag.unwrap_or_default());
        proto::put_length(&mut self.fresh, length);
        self.fresh.extend_from_slice(text);
        if let Some(edit) = self.edits.get_mut(open.edit) {
            edit.new = start..self.fresh.len();
            self.added += edit.new.len();
            self.removed += edit.old.len();
        }
    }

    /// Returns an error once the edits exceed the limit, so that a caller need not read on.
    pub(crate) fn check(&self) -> Result<(), Undecodable> {
        let limit_bytes = self.limit_bytes;
        match self.spent > limit_bytes {
            true => Err(Undecodable::TooLarge { limit_bytes }),
            false => Ok(()),
        }
    }

    /// The edited message in pieces: slices of `source`, and the new text between them.
    ///
    /// # Errors
    /// The edits exceed the limit.
    pub(crate) fn apply(mut self, source: &Bytes) -> Result<Vec<Bytes>, Undecodable> {
        self.check()?;
        self.edits.sort_by_key(|edit| edit.old.start);
        let fresh = Bytes::from(self.fresh);
        let mut pieces = Vec::with_capacity(2 * self.edits.len() + 1);
        let mut kept = 0;
        for edit in self.edits {
            pieces.push(cut(source, kept..edit.old.start));
            pieces.push(cut(&fresh, edit.new));
            kept = edit.old.end;
        }
        pieces.push(cut(source, kept..source.len()));
        pieces.retain(|piece| !piece.is_empty());
        Ok(pieces)
    }

    /// Adds to the memory spent. Returns `false` once the sum exceeds the limit, and in every later call.
    fn spend(&mut self, bytes: usize) -> bool {
        self.spent = self.spent.saturating_add(bytes);
        self.spent <= self.limit_bytes
    }
}

/// A slice of `bytes` without a copy; empty if the range is out of bounds.
pub(crate) fn cut(bytes: &Bytes, range: Range<usize>) -> Bytes {
    match bytes.get(range) {
        Some(part) => bytes.slice_ref(part),
        None => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_in_order_and_the_rest_is_not_copied() {
        let source = Bytes::from_static(b"0123456789");
        let mut splice = Splice::new(1000);
        splice.replace(7..8, b"seven");
        splice.remove(2..4);
        splice.replace(4..4, b"!");
        let pieces = splice.apply(&source).unwrap();
        assert_eq!(pieces.concat(), b"01!456seven89");
        assert_eq!(pieces[2].as_ptr(), source[4..].as_ptr());
    }

    #[test]
    fn edits_beyond_the_limit_are_not_collected_and_the_rewrite_fails() {
        let source = Bytes::from_static(b"abc");
        let limit_bytes = 3 * EDIT_BYTES;
        let mut splice = Splice::new(limit_bytes);
        for _ in 0..100 {
            splice.replace(1..1, b"xy");
        }
        assert_eq!((splice.edits.len(), splice.fresh.len()), (2, 4));
        assert_eq!(
            splice.apply(&source),
            Err(Undecodable::TooLarge { limit_bytes })
        );
    }

    #[test]
    fn without_edits_the_message_is_itself() {
        let source = Bytes::from_static(b"abc");
        assert_eq!(Splice::new(1000).apply(&source).unwrap(), [source]);
        assert_eq!(Splice::new(1000).apply(&Bytes::new()), Ok(vec![]));
    }
}
