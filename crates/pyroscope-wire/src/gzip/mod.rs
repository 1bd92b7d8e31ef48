//! gzip compression, and decompression with a limit on the output.

mod repack;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;

use crate::undecodable::Undecodable;

pub use repack::repack;

/// Most gzip members of one body. Each member costs microseconds, even if it is empty; programs that compress
/// in parallel write one member for each 64 KiB or more.
const MAX_MEMBERS: usize = 16 * 1024;

/// Least growth of the output buffer, in bytes.
const LEAST_GROWTH: usize = 16 * 1024;

/// The memory that an output may take.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Room<'a> {
    /// The most bytes that the output may take.
    pub most: usize,
    /// Called with the new capacity of the output, in bytes, before the output grows; `false` ends the
    /// decompression.
    pub allow: &'a mut dyn FnMut(usize) -> bool,
}

/// Decompresses a body that may consist of several pieces.
///
/// As in Go, several gzip members in a row are decompressed to one text, and any other bytes behind a
/// member are an error.
///
/// # Errors
/// [`Undecodable::TooLarge`] as soon as the output exceeds `limit_bytes`, [`Undecodable::Gzip`] if the
/// body is damaged or truncated, [`Undecodable::Members`] if it has too many members.
pub fn decompress(pieces: &[Bytes], limit_bytes: usize) -> Result<Vec<u8>, Undecodable> {
    let room = Room {
        most: limit_bytes,
        allow: &mut |_| true,
    };
    decompress_within(pieces, room)
}

/// Decompresses as [`decompress`] does, into a buffer that grows in steps.
///
/// # Errors
/// As [`decompress`]; [`Undecodable::TooLarge`] as well if `room` does not allow a step.
pub fn decompress_within(pieces: &[Bytes], room: Room<'_>) -> Result<Vec<u8>, Undecodable> {
    let Room { most, allow } = room;
    let mut out = Vec::new();
    let first = expected_length(pieces).clamp(LEAST_GROWTH.min(most), most);
    grow(&mut out, first, allow)?;
    let mut reader = PieceReader::new(pieces);
    for _ in 0..MAX_MEMBERS {
        let mut member = GzDecoder::new(reader);
        decompress_member(&mut member, &mut out, most, allow)?;
        reader = member.into_inner();
        if !reader.has_more() {
            return Ok(out);
        }
    }
    Err(Undecodable::Members)
}

fn decompress_member(
    member: &mut impl Read,
    out: &mut Vec<u8>,
    most: usize,
    allow: &mut dyn FnMut(usize) -> bool,
) -> Result<(), Undecodable> {
    loop {
        let spare = out.capacity().min(most).saturating_sub(out.len());
        let spare = u64::try_from(spare).unwrap_or(u64::MAX);
        // Stops at the capacity, so it does not allocate.
        member
            .take(spare)
            .read_to_end(out)
            .map_err(|_damaged| Undecodable::Gzip)?;
        // The buffer is full or the member has ended: the buffer need not grow without a further byte.
        let mut next = [0];
        let more = member
            .read(&mut next)
            .map_err(|_damaged| Undecodable::Gzip)?;
        if more == 0 {
            return Ok(());
        }
        if out.len() >= most {
            return Err(Undecodable::TooLarge { limit_bytes: most });
        }
        let wanted = out.len().saturating_mul(2).max(LEAST_GROWTH).min(most);
        grow(out, wanted, allow)?;
        out.extend_from_slice(&next);
    }
}

fn grow(
    out: &mut Vec<u8>,
    wanted: usize,
    allow: &mut dyn FnMut(usize) -> bool,
) -> Result<(), Undecodable> {
    if wanted > out.capacity() {
        if !allow(wanted) {
            let limit_bytes = out.capacity();
            return Err(Undecodable::TooLarge { limit_bytes });
        }
        out.reserve_exact(wanted - out.len());
    }
    Ok(())
}

/// Decompresses the start of a body, up to `limit_bytes`.
///
/// For responses of which only the start was kept: a truncated or damaged stream gives the bytes
/// before the damage, and a body that is not gzip gives no bytes. The bytes are not verified, because
/// the checksum is at the end of the stream.
pub fn start(pieces: &[Bytes], limit_bytes: usize) -> Vec<u8> {
    // The decoder loses the output of a step that contains damaged bytes, so the steps are short.
    const STEP: usize = 32;
    let steps: Vec<Bytes> = pieces
        .iter()
        .flat_map(|piece| piece.chunks(STEP).map(|step| piece.slice_ref(step)))
        .collect();
    let mut out = Vec::new();
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    // The bytes read before an error stay in `out`.
    let _damaged = MultiGzDecoder::new(PieceReader::new(&steps))
        .take(most)
        .read_to_end(&mut out);
    out
}

/// Compresses a body at the fastest level, because it is sent only once.
pub fn compress(pieces: &[Bytes]) -> Bytes {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut encoder = encoder(length / 2);
    pieces
        .iter()
        .try_for_each(|piece| encoder.write_all(piece))
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .expect("a Vec accepts every write")
}

fn encoder(expected: usize) -> GzEncoder<Vec<u8>> {
    let out = Vec::with_capacity(expected + 32);
    GzEncoder::new(out, Compression::fast())
}

/// The decompressed length of a body, as its trailer states it, capped at a plausible length: the size for
/// which [`decompress_within`] asks first.
pub fn expected_length_of(pieces: &[Bytes]) -> usize {
    expected_length(pieces).max(LEAST_GROWTH)
}

/// The decompressed length that the trailer states, capped at a plausible length. The output buffer is
/// allocated with this capacity.
fn expected_length(pieces: &[Bytes]) -> usize {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut promised = 0_u32;
    for byte in pieces
        .iter()
        .rev()
        .flat_map(|piece| piece.iter().rev())
        .take(4)
    {
        promised = promised << 8 | u32::from(*byte);
    }
    // A trailer may lie. Profiles shrink by less than this factor; beyond it the buffer grows as
    // output arrives.
    let plausible = length.saturating_mul(8);
    usize::try_from(promised)
        .unwrap_or(usize::MAX)
        .min(plausible)
}

/// Reads the pieces of a body in sequence.
struct PieceReader<'p> {
    current: &'p [u8],
    rest: std::slice::Iter<'p, Bytes>,
}

impl<'p> PieceReader<'p> {
    fn new(pieces: &'p [Bytes]) -> Self {
        Self {
            current: &[],
            rest: pieces.iter(),
        }
    }

    fn has_more(&mut self) -> bool {
        self.fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }
}

impl BufRead for PieceReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.rest.next() {
                Some(piece) => self.current = piece,
                None => break,
            }
        }
        Ok(self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current = self.current.get(amount..).unwrap_or_default();
    }
}

impl Read for PieceReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}
