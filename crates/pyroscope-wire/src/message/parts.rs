//! A changed message as ranges of the original message and new text between them. The parts do not hold the
//! memory of the original message.

use std::ops::Range;

use bytes::Bytes;

/// A part of a changed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A range of the message.
    Kept(Range<usize>),
    /// New text.
    Fresh(Bytes),
}

/// The parts that `pieces` consist of: slices of `message` are kept, others are fresh.
pub(super) fn of(message: &Bytes, pieces: Vec<Bytes>) -> Vec<Part> {
    let start = message.as_ptr().addr();
    let parts = pieces.into_iter().map(|piece| {
        let at = piece.as_ptr().addr().checked_sub(start);
        match at {
            Some(at) if at + piece.len() <= message.len() => Part::Kept(at..at + piece.len()),
            _ => Part::Fresh(piece),
        }
    });
    parts.collect()
}

/// Puts a changed message together from its parts. `pieces` are the original message; kept parts become slices
/// of the pieces, and are in the order of the message.
pub fn assemble(pieces: &[Bytes], parts: Vec<Part>) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(parts.len() + pieces.len());
    let mut rest = pieces.iter();
    let (mut piece, mut start) = (Bytes::new(), 0);
    for part in parts {
        let mut range = match part {
            Part::Fresh(text) => {
                out.push(text);
                continue;
            }
            Part::Kept(range) => range,
        };
        while !range.is_empty() {
            let end = start + piece.len();
            if range.start >= end {
                let Some(next) = rest.next() else { break };
                (piece, start) = (next.clone(), end);
                continue;
            }
            let until = range.end.min(end);
            out.push(piece.slice(range.start - start..until - start));
            range.start = until;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_put_together_from_pieces_as_from_the_whole(
            sizes in prop::collection::vec(0usize..9, 0..6),
            cuts in prop::collection::vec((0usize..40, 0usize..12, any::<bool>()), 0..6),
        ) {
            let pieces: Vec<Bytes> = sizes.iter().enumerate().map(|(place, size)| {
                let place = u8::try_from(place).unwrap();
                Bytes::from((0..*size).map(|at| place * 16 + u8::try_from(at).unwrap()).collect::<Vec<_>>())
            }).collect();
            let message = Bytes::from(pieces.concat());
            let (mut at, mut whole) = (0, Vec::new());
            for (skip, len, fresh) in cuts {
                let start = (at + skip).min(message.len());
                at = (start + len).min(message.len());
                whole.push(message.slice(start..at));
                if fresh {
                    whole.push(Bytes::from(b"new".to_vec()));
                }
            }
            whole.retain(|piece| !piece.is_empty());
            let parts = of(&message, whole.clone());
            let again = assemble(&pieces, parts);
            prop_assert!(again.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(again.concat(), whole.concat());
        }
    }
}
