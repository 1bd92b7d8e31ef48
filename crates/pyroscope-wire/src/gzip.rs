//! gzip compression, and decompression with a limit on the output.

use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;

use crate::message::Part;
use crate::undecodable::Undecodable;

/// Most gzip members of one body. Each costs microseconds, however little is in it; programs that compress in parallel
/// write one for each 64 KiB or more.
const MAX_MEMBERS: usize = 16 * 1024;

/// Least growth of the output buffer, in bytes.
const LEAST_GROWTH: usize = 16 * 1024;

/// The memory that an output may take.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Room<'a> {
    /// The most bytes that it may ever take.
    pub most: usize,
    /// Asks for so many bytes in all before the output grows to them; `false` ends the work.
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
        // The buffer is full or the member has ended: without a further byte it need not grow.
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

/// Compresses a changed text without holding it: `parts` of the text that `pieces` were compressed from, and new
/// text, in the order of the text.
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

/// The decompressed length of a body, as its trailer states it, capped at a plausible length: what
/// [`decompress_within`] asks for first.
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

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        });
        next.take(length).collect()
    }

    #[test]
    fn a_text_grows_by_the_steps_that_are_allowed() {
        let packed = compress(&[Bytes::from(noise(100_000))]);
        let lying = [&packed[..], &pack(b"x")].concat();
        let mut asked = Vec::new();
        let room = Room {
            most: 150_000,
            allow: &mut |bytes| {
                asked.push(bytes);
                true
            },
        };
        assert_eq!(decompress_within(&[packed], room).unwrap().len(), 100_000);
        assert_eq!(asked, [100_000], "the trailer is right");

        let mut asked = Vec::new();
        let room = Room {
            most: 150_000,
            allow: &mut |bytes| {
                asked.push(bytes);
                bytes < 120_000
            },
        };
        // The last trailer states one byte.
        let refused = decompress_within(&[lying.into()], room);
        assert!(matches!(refused, Err(Undecodable::TooLarge { .. })));
        assert_eq!(asked, [16_384, 32_768, 65_536, 131_072]);
    }

    #[test]
    fn many_members_are_read_and_endless_ones_are_not() {
        let empty = compress(&[]);
        let members = |count| decompress(&[empty.repeat(count).into()], 100);
        assert_eq!(members(1_000), Ok(Vec::new()));
        assert_eq!(members(MAX_MEMBERS), Ok(Vec::new()));
        assert_eq!(members(MAX_MEMBERS + 1), Err(Undecodable::Members));
    }

    #[test]
    fn a_text_is_changed_without_being_held() {
        let text = varied(70_000);
        let halves = [&text[..30_000], &text[30_000..]].map(Bytes::copy_from_slice);
        let packed = halves.map(|half| compress(&[half]));
        let parts = [
            Part::Fresh(Bytes::from_static(b"start")),
            Part::Kept(10..40_000),
            Part::Kept(40_000..40_000),
            Part::Fresh(Bytes::from_static(b"middle")),
            Part::Kept(50_000..70_000),
        ];
        let changed = repack(&packed, &parts).unwrap();
        let expected = [b"start", &text[10..40_000], b"middle", &text[50_000..]].concat();
        assert_eq!(decompress(&[changed], 1 << 20).unwrap(), expected);
        let beyond = [Part::Kept(69_999..70_001)];
        assert_eq!(repack(&packed, &beyond), Err(Undecodable::Gzip));
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
