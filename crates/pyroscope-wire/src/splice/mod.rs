//! Changing a few bytes of a message and leaving all the others where they are.
//!
//! A rewrite is a list of edits on the message as it came; what lies between them is never copied.
//! So unknown fields, their order and their spelling survive without being understood.

pub(crate) mod json;
pub(crate) mod proto;

use std::ops::Range;

use bytes::Bytes;

use crate::undecodable::Undecodable;

/// What an edit takes in memory beside its text: itself and two pieces of the result.
const EDIT_BYTES: usize = size_of::<Edit>() + 2 * size_of::<Bytes>();

/// Edits that have been collected for one message.
///
/// The tags may be a hundred times as long as an empty series, so a message can be made that grows
/// beyond all bounds. Edits stop at a limit, and the rewrite fails.
#[derive(Debug)]
pub(crate) struct Splice {
    limit_bytes: usize,
    spent: usize,
    edits: Vec<Edit>,
    /// All new text, so that it is one allocation however many edits there are.
    fresh: Vec<u8>,
    added: usize,
    removed: usize,
}

/// A part of the message, and the part of the new text that takes its place.
#[derive(Debug)]
struct Edit {
    old: Range<usize>,
    new: Range<usize>,
}

/// A length-delimited field whose length is not known yet.
#[derive(Debug)]
pub(crate) struct Open {
    edit: usize,
    added: usize,
    removed: usize,
}

impl Splice {
    /// For edits that take no more than `limit_bytes` of memory.
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

    /// Puts `text` in the place of a part of the message. Parts must not overlap.
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

    /// Takes a part of the message out.
    pub(crate) fn remove(&mut self, old: Range<usize>) {
        self.replace(old, &[]);
    }

    /// Begins to edit within a protobuf field; [`Splice::close`] writes its new length.
    pub(crate) fn open(&mut self, field: &proto::Field) -> Open {
        let open = Open {
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

    /// Ends what [`Splice::open`] began, with `text` put before what the field held.
    ///
    /// `source` is the message; the tag of the field stays as it was spelled.
    pub(crate) fn close(&mut self, open: &Open, source: &[u8], field: &proto::Field, text: &[u8]) {
        // A tag and a length have ten bytes at most each.
        if !self.spend(20 + text.len()) {
            return;
        }
        let grown = field.value.len() + text.len() + (self.added - open.added);
        let length = grown.saturating_sub(self.removed - open.removed);

        let start = self.fresh.len();
        let tag = source.get(field.start..field.tag_end);
        self.fresh.extend_from_slice(tag.unwrap_or_default());
        proto::put_varint(&mut self.fresh, length);
        self.fresh.extend_from_slice(text);
        if let Some(edit) = self.edits.get_mut(open.edit) {
            edit.new = start..self.fresh.len();
            self.added += edit.new.len();
            self.removed += edit.old.len();
        }
    }

    /// The message with all edits made, in pieces: slices of `source` and the new text between.
    ///
    /// # Errors
    /// There was more to edit than the limit allows.
    pub(crate) fn apply(mut self, source: &Bytes) -> Result<Vec<Bytes>, Undecodable> {
        let limit_bytes = self.limit_bytes;
        if self.spent > limit_bytes {
            return Err(Undecodable::TooLarge { limit_bytes });
        }
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

    /// Whether that much more is within the limit. Once it is not, nothing is any more.
    fn spend(&mut self, bytes: usize) -> bool {
        self.spent = self.spent.saturating_add(bytes);
        self.spent <= self.limit_bytes
    }
}

/// A part of `bytes` without a copy; nothing if there is no such part.
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
