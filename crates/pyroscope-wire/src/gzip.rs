//! gzip with a bound on what comes out.

use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::undecodable::Undecodable;

/// Unpacks a body that may lie in several frames.
///
/// Several gzip members after each other are one text, and anything else behind a member is a
/// fault, as in Go.
///
/// # Errors
/// [`Undecodable::TooLarge`] as soon as more than `limit_bytes` come out, [`Undecodable::Gzip`] if
/// the body is damaged or cut short.
pub fn decompress(frames: &[Bytes], limit_bytes: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::with_capacity(expected(frames).min(limit_bytes));
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    MultiGzDecoder::new(Frames::new(frames))
        .take(most.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|_damaged| Undecodable::Gzip)?;
    if out.len() > limit_bytes {
        return Err(Undecodable::TooLarge { limit_bytes });
    }
    Ok(out)
}

/// What the beginning of a body says, up to `limit_bytes`.
///
/// For answers of which only the beginning was kept: a stream that was cut short or is damaged
/// further on gives what came out before, one that is no gzip gives nothing. Nobody may rely on what
/// comes out, since no checksum was seen.
pub fn start(frames: &[Bytes], limit_bytes: usize) -> Vec<u8> {
    // What is unpacked in the same step as damaged bytes is lost, so that the steps are short.
    const STEP: usize = 32;
    let steps: Vec<Bytes> = frames
        .iter()
        .flat_map(|frame| frame.chunks(STEP).map(|step| frame.slice_ref(step)))
        .collect();
    let mut out = Vec::new();
    let most = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    // What was read before an error stays in `out`.
    let _damaged = MultiGzDecoder::new(Frames::new(&steps))
        .take(most)
        .read_to_end(&mut out);
    out
}

/// Packs a body at the fastest level: what travels once is not worth more.
pub fn compress(segments: &[Bytes]) -> Bytes {
    let length: usize = segments.iter().map(Bytes::len).sum();
    let out = Vec::with_capacity(length / 2 + 32);
    let mut encoder = GzEncoder::new(out, Compression::fast());
    segments
        .iter()
        .try_for_each(|segment| encoder.write_all(segment))
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .expect("a Vec takes all that is written")
}

/// The length that the trailer promises, as far as it is possible: a guess for one allocation.
fn expected(frames: &[Bytes]) -> usize {
    let length: usize = frames.iter().map(Bytes::len).sum();
    let mut promised = 0_u32;
    for byte in frames
        .iter()
        .rev()
        .flat_map(|frame| frame.iter().rev())
        .take(4)
    {
        promised = promised << 8 | u32::from(*byte);
    }
    // A trailer may lie: beyond what profiles shrink by, memory is taken only as it is filled.
    let plausible = length.saturating_mul(8);
    usize::try_from(promised)
        .unwrap_or(usize::MAX)
        .min(plausible)
}

/// Frames, read one after the other.
struct Frames<'f> {
    current: &'f [u8],
    rest: std::slice::Iter<'f, Bytes>,
}

impl<'f> Frames<'f> {
    fn new(frames: &'f [Bytes]) -> Self {
        Self {
            current: &[],
            rest: frames.iter(),
        }
    }
}

impl BufRead for Frames<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.rest.next() {
                Some(frame) => self.current = frame,
                None => break,
            }
        }
        Ok(self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current = self.current.get(amount..).unwrap_or_default();
    }
}

impl Read for Frames<'_> {
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
            let frames: Vec<_> = at.windows(2).map(|pair| packed.slice(pair[0]..pair[1])).collect();
            prop_assert_eq!(decompress(&frames, text.len() * 2).unwrap(), text.repeat(2));
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
