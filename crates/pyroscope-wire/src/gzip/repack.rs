//! Changes a compressed text without holding it in memory.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::{PieceReader, encoder};
use crate::message::Part;
use crate::undecodable::Undecodable;

/// Rewrites the compressed text in `pieces` without holding it in memory. The new text consists of `parts`:
/// ranges of the old text, in ascending order, and new bytes between them.
///
/// # Errors
/// `pieces` cannot be decompressed, or a part lies beyond the end of the text.
pub fn repack<'p>(
    pieces: &[Bytes],
    parts: impl IntoIterator<Item = &'p Part>,
) -> Result<Bytes, Undecodable> {
    let mut encoder = encoder(pieces.iter().map(Bytes::len).sum());
    let mut text = MultiGzDecoder::new(PieceReader::new(pieces));
    let mut at = 0;
    for part in parts {
        match part {
            Part::Fresh(fresh) => encoder.write_all(fresh),
            Part::Kept(range) => {
                let skipped = copy(&mut text, range.start.saturating_sub(at), &mut io::sink());
                at = range.end;
                skipped.and_then(|()| copy(&mut text, range.len(), &mut encoder))
            }
        }
        .map_err(|_damaged| Undecodable::Gzip)?;
    }
    let packed = encoder.finish().map(Bytes::from);
    packed.map_err(|_damaged| Undecodable::Gzip)
}

fn copy(text: &mut impl Read, bytes: usize, to: &mut impl Write) -> io::Result<()> {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let copied = io::copy(&mut text.take(bytes), to)?;
    match copied == bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
