use prost::Message as _;

use super::*;
use crate::model::{Profile, build, profile, seen, stacks};
use proptest::prelude::*;

/// Enough for every profile here.
const LIMIT: usize = 1 << 20;

#[test]
fn equal_stacks_are_summed_and_labels_tell_them_apart() {
    let bytes = profile(&[
        (&[1, 2], &[10, 1], None),
        (&[1, 2], &[5, 2], None),
        (&[2, 1], &[7, 0], None),
        (&[1, 2], &[3, 0], Some("worker")),
    ])
    .encode_to_vec();
    let pprof = Pprof::read(&bytes, LIMIT).unwrap();
    assert_eq!(pprof.stacks(), 3);
    assert_eq!(pprof.values(0), [15, 3]);
    assert_eq!(pprof.values(1), [7, 0]);
    assert_eq!(pprof.values(2), [3, 0]);
    let types: Vec<_> = pprof.sample_types().collect();
    assert_eq!(types[0].kind, b"alloc_space");
    assert_eq!(types[1].unit, b"bytes");
    assert_eq!(pprof.time_nanos(), 1_700_000_000_000_000_000);
}

#[test]
fn stacks_without_addresses_are_told_apart_by_function_and_file() {
    let mut profile = profile(&[(&[1], &[100, 0], None), (&[2], &[7, 0], None)]);
    for location in &mut profile.location {
        location.address = 0;
    }
    let bytes = profile.encode_to_vec();
    let pprof = Pprof::read(&bytes, LIMIT).unwrap();
    assert_eq!(pprof.stacks(), 2);
    assert_ne!(pprof.key(0), pprof.key(1));
}

#[test]
fn a_stack_keeps_its_key_when_numbers_change() {
    let one = profile(&[(&[0, 3], &[1, 0], Some("x"))]).encode_to_vec();
    let other = profile(&[(&[2], &[9, 9], None), (&[0, 3], &[1, 0], Some("x"))]);
    let mut other = other;
    // Other numbers for the same locations and functions.
    for location in &mut other.location {
        location.id += 100;
        location.line[0].function_id += 500;
    }
    for function in &mut other.function {
        function.id += 500;
    }
    for id in other.sample.iter_mut().flat_map(|it| &mut it.location_id) {
        *id += 100;
    }
    let other = other.encode_to_vec();
    let (one, other) = (
        Pprof::read(&one, LIMIT).unwrap(),
        Pprof::read(&other, LIMIT).unwrap(),
    );
    assert_eq!(one.key(0), other.key(1));
}

#[test]
fn what_only_left_out_stacks_use_is_left_out() {
    let profile = profile(&[(&[1, 2], &[10, 1], Some("gone")), (&[3], &[7, 4], None)]);
    let bytes = profile.encode_to_vec();
    let pprof = Pprof::read(&bytes, LIMIT).unwrap();
    let written = pprof
        .with_values(&[0, 0, 2, -4], Some(15_000_000_000))
        .unwrap();
    let written = Profile::decode(&written[..]).unwrap();
    assert_eq!(written.sample.len(), 1);
    assert_eq!(
        written.sample[0].value,
        [2, 0],
        "a negative value is written as 0"
    );
    assert_eq!(written.location.len(), 1);
    assert_eq!(written.function.len(), 1);
    assert_eq!(written.string_table.len(), profile.string_table.len());
    assert!(!written.string_table.contains(&"f1".to_owned()));
    assert!(!written.string_table.contains(&"gone".to_owned()));
    assert!(
        written.string_table.contains(&"app".to_owned()),
        "the mapping's"
    );
    assert_eq!(written.duration_nanos, 15_000_000_000);
    assert_eq!(written.period, 524_288);
    assert_eq!(written.mapping, profile.mapping);
    assert_eq!(pprof.with_values(&[0, 0, -1, 0], None), None);
}

#[test]
fn what_is_no_profile_is_refused() {
    let whole = profile(&[(&[1], &[1, 1], None)]);
    let refused = |profile: &Profile| Pprof::read(&profile.encode_to_vec(), LIMIT).unwrap_err();
    let mut wrong = whole.clone();
    wrong.sample[0].value.pop();
    assert_eq!(refused(&wrong), PprofFault::Values);
    let mut wrong = whole.clone();
    wrong.sample[0].location_id[0] = 99;
    assert_eq!(refused(&wrong), PprofFault::Reference);
    let mut wrong = whole.clone();
    wrong.sample_type[0].unit = 99;
    assert_eq!(refused(&wrong), PprofFault::Reference);
    let mut wrong = whole.clone();
    wrong.sample_type.clear();
    assert_eq!(refused(&wrong), PprofFault::Types);
    assert_eq!(
        Pprof::read(b"<html>", LIMIT).unwrap_err(),
        PprofFault::Protobuf(ProtobufFault::Group)
    );
    assert_eq!(Pprof::read(b"", LIMIT).unwrap_err(), PprofFault::Types);
    let bytes = whole.encode_to_vec();
    let fault = Pprof::read(&bytes, 64).unwrap_err();
    assert_eq!(fault, PprofFault::TooLarge { limit_bytes: 64 });
}

#[test]
fn many_tiny_parts_need_no_more_memory_than_allowed() {
    let mut bytes = profile(&[(&[1], &[1, 1], None)]).encode_to_vec();
    for part in [&[0x12, 0][..], &[0x22, 0], &[0x2a, 0], &[0x32, 0]] {
        let mut bomb = bytes.clone();
        bomb.extend(part.repeat(100_000));
        let fault = Pprof::read(&bomb, bomb.len()).unwrap_err();
        assert!(
            matches!(fault, PprofFault::TooLarge { .. }),
            "{part:?}: {fault:?}"
        );
    }
    bytes.extend(b"\x12\x00");
    assert_eq!(Pprof::read(&bytes, LIMIT).unwrap_err(), PprofFault::Values);
}

proptest! {
    #[test]
    fn own_values_give_the_same_profile(stacks in stacks()) {
        let profile = build(&stacks);
        let bytes = profile.encode_to_vec();
        let pprof = Pprof::read(&bytes, LIMIT).unwrap();
        let values: Vec<_> = (0..pprof.stacks()).flat_map(|it| pprof.values(it).to_vec()).collect();
        let written = pprof.with_values(&values, None);
        let written = written.map(|it| Profile::decode(&it[..]).unwrap());
        prop_assert_eq!(seen(&written.unwrap_or_default()), seen(&profile));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400, at in 0usize..400, byte: u8) {
        drop(Pprof::read(&bytes, LIMIT));
        let mut bytes = profile(&[(&[1, 2], &[10, 1], Some("a")), (&[0], &[7, 4], None)]).encode_to_vec();
        bytes.truncate(cut);
        if let Some(damaged) = bytes.get_mut(at) {
            *damaged = byte;
        }
        if let Ok(pprof) = Pprof::read(&bytes, LIMIT) {
            let values: Vec<_> = (0..pprof.stacks()).flat_map(|it| pprof.values(it).to_vec()).collect();
            let written = pprof.with_values(&values, Some(1));
            if let Some(written) = written {
                prop_assert!(Pprof::read(&written, LIMIT).is_ok());
            }
        }
    }
}

#[test]
fn a_profile_that_refers_to_a_string_that_it_does_not_have_is_refused() {
    let whole = profile(&[(&[1], &[10, 1], None)]);
    let missing = 1_000;
    type Damage = fn(&mut Profile, i64);
    let damages: [(&str, Damage); 5] = [
        ("type", |it, text| it.sample_type[0].unit = text),
        ("mapping", |it, text| it.mapping[0].filename = text),
        ("function", |it, text| it.function[0].system_name = text),
        ("period", |it, text| {
            it.period_type.as_mut().unwrap().kind = text
        }),
        ("comment", |it, text| it.comment.push(text)),
    ];
    for (part, damage) in damages {
        let mut damaged = whole.clone();
        damage(&mut damaged, missing);
        let bytes = damaged.encode_to_vec();
        assert_eq!(
            Pprof::read(&bytes, LIMIT).err(),
            Some(PprofFault::Reference),
            "{part}"
        );
    }
}
