use proptest::prelude::*;

use super::*;
use crate::message::Part;

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

/// A text without repetitions, so that compression hardly shortens it.
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
    // Without its trailer, with a wrong trailer, with other bytes behind the trailer.
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
