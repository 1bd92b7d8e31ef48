//! gzip compression, and decompression with a limit on the output.

use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::undecodable::Undecodable;

/// Decompresses a body that may consist of several pieces.
///
/// As in Go, several gzip members in a row are decompressed to one text, and any other bytes behind a
/// member are an error.
///
/// # Errors
/// [`Undecodable::TooLarge`] as soon as the output exceeds `limit_bytes`, [`Undecodable::Gzip`] if the
/// body is damaged or truncated.
pub fn decompress(pieces: &[Bytes], limit_bytes: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::with_capacity(expected_length(pieces).min(limit_bytes));
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    MultiGzDecoder::new(PieceReader::new(pieces))
        .take(most.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|_damaged| Undecodable::Gzip)?;
    if out.len() > limit_bytes {
        return Err(Undecodable::TooLarge { limit_bytes });
    }
    Ok(out)
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
    let out = Vec::with_capacity(length / 2 + 32);
    let mut encoder = GzEncoder::new(out, Compression::fast());
    pieces
        .iter()
        .try_for_each(|piece| encoder.write_all(piece))
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .expect("a Vec accepts every write")
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(text: &'static [u8]) -> Vec<u8> {
        compress(&[Bytes::from_static(text)]).to_vec()
    }

    fn unpack(body: Vec<u8>) -> Result<Vec<u8>, Undecodable> {
        decompress(&[body.into()], 100)
    }

    #[test]
    fn members_after_each_other_are_one_text() {
        assert_eq!(
            unpack([pack(b"ab"), pack(b""), pack(b"c")].concat()).unwrap(),
            b"abc"
        );
    }

    #[test]
    fn whatever_is_no_member_is_a_fault() {
        let whole = pack(b"abc");
        for bad in [
            vec![],
            b"abc".to_vec(),
            whole[..whole.len() - 1].to_vec(),
            whole[..12].to_vec(),
            [whole.clone(), b"junk".to_vec()].concat(),
            [whole.clone(), vec![0]].concat(),
        ] {
            assert_eq!(unpack(bad.clone()), Err(Undecodable::Gzip), "{bad:?}");
        }
        let mut flipped = whole;
        let crc = flipped.len() - 8;
        flipped[crc] ^= 1;
        assert_eq!(unpack(flipped), Err(Undecodable::Gzip));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = compress(&[Bytes::from(vec![0; 10 << 20])]);
        assert!(bomb.len() < 100_000);
        let limit_bytes = 1000;
        assert_eq!(
            decompress(std::slice::from_ref(&bomb), limit_bytes),
            Err(Undecodable::TooLarge { limit_bytes })
        );
        assert_eq!(decompress(&[bomb], 10 << 20).unwrap().len(), 10 << 20);
    }

    /// A text of which no part is found again, so that it takes room when packed.
    fn varied(length: u32) -> Vec<u8> {
        let bytes = (0..length).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
        bytes.collect()
    }

    #[test]
    fn a_start_is_what_came_out_before_the_stream_ended_or_broke() {
        let text = varied(4000);
        let whole = compress(&[Bytes::from(text.clone())]);
        let read = |body: Vec<u8>| start(&[body.into()], 5000);
        assert_eq!(read(whole.to_vec()), text);
        // Without its trailer, with a false one, with something behind it.
        assert_eq!(read(whole[..whole.len() - 8].to_vec()), text);
        assert_eq!(read([&whole[..whole.len() - 1], b"x"].concat()), text);
        assert_eq!(read([&whole[..], b"junk"].concat()), text);

        let half = read(whole[..whole.len() / 2].to_vec());
        assert!(
            half.len() > 1000 && text.starts_with(&half),
            "{}",
            half.len()
        );
        let damaged = read([&whole[..whole.len() / 2], &[0xff; 100]].concat());
        assert!(damaged.len() > 1000, "{}", damaged.len());
        assert!(damaged.starts_with(&text[..1000]));
    }

    #[test]
    fn a_start_ends_at_the_limit_and_is_empty_for_what_is_no_gzip() {
        let bomb = compress(&[Bytes::from(vec![7; 10 << 20])]);
        assert_eq!(start(std::slice::from_ref(&bomb), 100), [7; 100]);
        assert_eq!(start(&[bomb], 0), [0; 0]);
        for body in [&b""[..], b"\x1f\x8b", b"abc", b"{\"code\":\"unknown\"}"] {
            assert_eq!(start(&[Bytes::from_static(body)], 100), [0; 0], "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_however_it_is_cut(
            text in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let packed = compress(&[Bytes::from(text.clone()), Bytes::new(), Bytes::from(text.clone())]);
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(packed.len())).collect();
            at.extend([0, packed.len()]);
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|pair| packed.slice(pair[0]..pair[1])).collect();
            prop_assert_eq!(decompress(&pieces, text.len() * 2).unwrap(), text.repeat(2));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let magic = [&[0x1f, 0x8b, 8, 0][..], &body].concat();
            for body in [body, magic] {
                prop_assert!(start(&[Bytes::from(body.clone())], 10).len() <= 10);
                if let Ok(out) = unpack(body) {
                    prop_assert!(out.len() <= 100);
                }
            }
        }
    }
}
