use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::model::{Profile, Stack, build, profile, seen, stacks};

/// `alloc_space` is cumulative, `inuse_space` is not.
const CUMULATIVE: [bool; 2] = [true, false];

fn advance(baseline: &mut Baseline, new: &Profile) -> Delta {
    let bytes = new.encode_to_vec();
    let profile = Pprof::read(&bytes, 1 << 20).unwrap();
    baseline.advance(&profile, &CUMULATIVE)
}

/// The values of a delta by stack, as a receiver sees them.
fn values(delta: &Delta) -> BTreeMap<String, Vec<i64>> {
    let bytes = match delta {
        Delta::First | Delta::Since(None) | Delta::Reset(None) => return BTreeMap::new(),
        Delta::Since(Some(bytes)) | Delta::Reset(Some(bytes)) => bytes,
    };
    seen(&Profile::decode(&bytes[..]).unwrap())
}

#[test]
fn the_first_profile_is_the_baseline_of_the_next() {
    let mut baseline = Baseline::default();
    assert!(baseline.is_empty());
    let first = profile(&[(&[1], &[100, 5], None), (&[2], &[40, 0], None)]);
    assert_eq!(advance(&mut baseline, &first), Delta::First);
    assert!(!baseline.is_empty());
    let mut second = profile(&[
        (&[1], &[164, 5], None),
        (&[2], &[40, 0], None),
        (&[3], &[7, 7], None),
    ]);
    second.time_nanos += 15_000_000_000;
    let delta = advance(&mut baseline, &second);
    let Delta::Since(Some(bytes)) = &delta else {
        panic!("{delta:?}");
    };
    let sent = Profile::decode(&bytes[..]).unwrap();
    assert_eq!(sent.duration_nanos, 15_000_000_000);
    assert_eq!(sent.time_nanos, second.time_nanos);
    let values: Vec<_> = values(&delta).into_values().collect();
    assert_eq!(values, [[64, 5], [7, 7]]);
}

#[test]
fn a_profile_in_which_nothing_happened_has_nothing_to_send() {
    let mut baseline = Baseline::default();
    let same = profile(&[(&[1], &[100, 0], None)]);
    advance(&mut baseline, &same);
    assert_eq!(advance(&mut baseline, &same), Delta::Since(None));
}

#[test]
fn a_restart_is_a_new_baseline_and_keeps_what_is_in_use() {
    let mut baseline = Baseline::default();
    advance(
        &mut baseline,
        &profile(&[(&[1], &[100, 8], None), (&[2], &[50, 1], None)]),
    );
    let restarted = profile(&[(&[1], &[3, 2], None), (&[2], &[60, 4], None)]);
    let delta = advance(&mut baseline, &restarted);
    assert!(matches!(delta, Delta::Reset(Some(_))), "{delta:?}");
    assert_eq!(
        values(&delta).into_values().collect::<Vec<_>>(),
        [[0, 2], [0, 4]]
    );
    let delta = advance(
        &mut baseline,
        &profile(&[(&[1], &[4, 2], None), (&[2], &[60, 4], None)]),
    );
    assert_eq!(
        values(&delta).into_values().collect::<Vec<_>>(),
        [[1, 2], [0, 4]]
    );
    let mut baseline = Baseline::default();
    advance(&mut baseline, &profile(&[(&[1], &[100, 0], None)]));
    assert_eq!(advance(&mut baseline, &profile(&[])), Delta::Reset(None));
}

#[test]
fn a_stack_that_fell_by_itself_counts_nothing() {
    let mut baseline = Baseline::default();
    advance(
        &mut baseline,
        &profile(&[(&[1], &[100, 0], None), (&[2], &[50, 0], None)]),
    );
    let delta = advance(
        &mut baseline,
        &profile(&[(&[1], &[90, 0], None), (&[2], &[80, 0], None)]),
    );
    assert_eq!(values(&delta).into_values().collect::<Vec<_>>(), [[30, 0]]);
}

#[test]
fn memory_is_as_foretold() {
    let mut baseline = Baseline::default();
    assert_eq!(baseline.bytes(), 0);
    let new = profile(&[
        (&[1], &[1, 1], None),
        (&[2], &[1, 1], None),
        (&[1], &[1, 1], None),
    ]);
    advance(&mut baseline, &new);
    assert_eq!(baseline.bytes(), Baseline::bytes_for(2, 1));
}

/// `stacks` after more was allocated at some of them, and with other values in use.
fn later(stacks: &[Stack], more: &[(i64, i64)]) -> Vec<Stack> {
    let mut later = stacks.to_vec();
    for ((_, alloc, inuse, _), (grown, used)) in later.iter_mut().zip(more) {
        *alloc += grown;
        *inuse = *used;
    }
    later
}

proptest! {
    #[test]
    fn old_values_and_delta_are_the_new_values(
        old in stacks(),
        added in stacks(),
        more in prop::collection::vec((0i64..20, 0i64..20), 12),
    ) {
        let mut new = later(&old, &more);
        new.extend(added);
        let (old, new) = (build(&old), build(&new));
        let mut baseline = Baseline::default();
        advance(&mut baseline, &old);
        let delta = advance(&mut baseline, &new);
        prop_assert!(matches!(delta, Delta::Since(_)));
        let mut sums = seen(&old);
        for values in sums.values_mut() {
            // What is in use is not a sum.
            values[1] = 0;
        }
        for (stack, values) in values(&delta) {
            let sum = sums.entry(stack).or_insert_with(|| vec![0; 2]);
            sum[0] += values[0];
            sum[1] = values[1];
        }
        sums.retain(|_, values| values.iter().any(|value| *value != 0));
        prop_assert_eq!(sums, seen(&new));
    }

    #[test]
    fn no_value_is_ever_negative(profiles in prop::collection::vec(stacks(), 1..6)) {
        let mut baseline = Baseline::default();
        for stacks in &profiles {
            let delta = advance(&mut baseline, &build(stacks));
            prop_assert!(values(&delta).values().flatten().all(|value| *value >= 0));
        }
    }
}

#[test]
fn five_types_and_twenty_thousand_stacks_have_exact_deltas() {
    let of = |count: i64| {
        let mut large = profile(&[(&[1], &[0, 0], None)]);
        for _ in 0..3 {
            large.sample_type.push(large.sample_type[0].clone());
        }
        let (location, sample) = (large.location[1].clone(), large.sample.remove(0));
        for number in 0..20_000 {
            let (mut location, mut sample) = (location.clone(), sample.clone());
            location.id = 100 + number;
            location.address = 0x1000 * (number + 1);
            sample.location_id = vec![location.id];
            sample.value = (0..5).map(|kind| count * (kind + 1)).collect();
            large.location.push(location);
            large.sample.push(sample);
        }
        large.encode_to_vec()
    };
    let mut baseline = Baseline::default();
    let mut advance = |bytes: &[u8]| {
        let profile = Pprof::read(bytes, 64 << 20).unwrap();
        baseline.advance(&profile, &[true, true, true, true, false])
    };
    assert_eq!(advance(&of(3)), Delta::First);
    let Delta::Since(Some(written)) = advance(&of(10)) else {
        panic!("something happened");
    };
    let written = Profile::decode(&written[..]).unwrap();
    assert_eq!(written.sample.len(), 20_000);
    let is_exact = |sample: &crate::model::Sample| sample.value == [7, 14, 21, 28, 50];
    assert!(written.sample.iter().all(is_exact));
}
