//! Files of the spool. The first byte of the input chooses: the rest is a segment, a cursor slot, content behind a
//! checksum (which no fuzzer guesses), or a recipe for damaging a whole segment.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pyrotee_segments::fuzzing::{cursors, cursors_content, record_head, scan, segment};

const SALT: u64 = 0x5eed;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b's', bytes)) => drop(checked(bytes.to_vec())),
        Some((b'c', bytes)) => assert_ne!(cursors(bytes), Some(false)),
        Some((b'C', content)) => assert_ne!(cursors_content(content), Some(false)),
        Some((b'h', bytes)) => assert_ne!(record_head(bytes), Some(false)),
        Some((_, recipe)) => damage(recipe),
        None => {}
    }
});

/// Asserts that the records found are inside the file, in order, and do not overlap; returns the numbers of the whole
/// ones.
fn checked(bytes: Vec<u8>) -> Vec<u64> {
    let len = bytes.len() as u64;
    let found = scan(bytes, SALT);
    for pair in found.windows(2) {
        assert!(pair[0].number < pair[1].number);
        assert!(pair[0].bytes.start < pair[1].bytes.start);
    }
    let whole = found.into_iter().filter(|found| found.whole);
    let numbers = whole.map(|found| {
        assert!(found.bytes.end <= len);
        found.number
    });
    numbers.collect()
}

/// Makes records whose lengths are the first bytes of the recipe. Each four bytes of the rest change bytes: where (two
/// bytes), to what, how many. Every record that was not changed must be found.
fn damage(recipe: &[u8]) {
    let (lengths, changes) = recipe.split_at(recipe.len().min(8));
    let bodies: Vec<_> = lengths
        .iter()
        .map(|len| recipe.repeat(usize::from(*len) / recipe.len() + 1))
        .collect();
    let bodies: Vec<_> = bodies.iter().map(Vec::as_slice).collect();
    let (mut bytes, ends) = segment(SALT, &bodies);
    let mut touched = Vec::new();
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % bytes.len();
        let to = bytes.len().min(at + usize::from(change[3]));
        bytes[at..to].fill(change[2]);
        touched.push(at as u64..to as u64);
    }
    let found = checked(bytes);
    let mut from = 0;
    for (number, end) in (0..).zip(ends) {
        let hit = touched.iter().any(|part| part.start < end && part.end > from);
        assert!(hit || found.contains(&number), "{number} of {found:?}");
        from = end;
    }
}
