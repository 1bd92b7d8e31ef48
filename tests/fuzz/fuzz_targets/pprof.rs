//! A profile in the format of pprof, and its delta. The first byte of the input says which types are cumulative, the
//! second one how much of each value the profile before had; the rest is the profile.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use pyrotee_pprof::{Baseline, Delta, Pprof};

/// Limit of an index in bytes, far above the length of an input.
const LIMIT: usize = 16 << 20;

/// Values by the key of their stack, without stacks of zeros only.
type Values = BTreeMap<u128, Vec<i64>>;

fuzz_target!(|data: &[u8]| {
    let Some((&[mask, share], source)) = data.split_first_chunk() else {
        return;
    };
    let Ok(read) = Pprof::read(source, LIMIT) else {
        return;
    };
    let mut all = Vec::new();
    for stack in 0..read.stacks() {
        assert!(read.key(stack).is_some());
        all.extend_from_slice(read.values(stack));
    }
    let Some(new) = read.with_values(&all, Some(1)) else {
        assert!(all.iter().all(|value| *value <= 0));
        return;
    };
    // Written again, it has the same stacks and no negative value.
    let new = reread(&new);
    assert_eq!(values(&new), positive(&read, &all));
    delta(&new, mask, share);
});

/// Asserts that the profile before and the delta are the profile.
fn delta(new: &Pprof<'_>, mask: u8, share: u8) {
    let types = new.sample_types().len();
    let cumulative: Vec<_> = (0..types).map(|kind| mask >> (kind % 8) & 1 == 1).collect();
    let mut before = Vec::new();
    for stack in 0..new.stacks() {
        // Another share for each stack, down to nothing.
        let share = share.wrapping_mul(stack as u8 | 1);
        let less = |value: &i64| (i128::from(*value) * i128::from(share) / 255) as i64;
        before.extend(new.values(stack).iter().map(less));
    }
    let Some(before) = new.with_values(&before, None) else {
        return;
    };
    let before = reread(&before);
    let mut baseline = Baseline::default();
    assert_eq!(baseline.advance(&before, &cumulative), Delta::First);
    let Delta::Since(written) = baseline.advance(new, &cumulative) else {
        panic!("no value fell");
    };
    let mut sum = written
        .map(|bytes| values(&reread(&bytes)))
        .unwrap_or_default();
    for (key, old) in values(&before) {
        let sums = sum.entry(key).or_insert_with(|| vec![0; types]);
        for ((sum, old), _) in sums
            .iter_mut()
            .zip(&old)
            .zip(&cumulative)
            .filter(|it| *it.1)
        {
            *sum += old;
        }
    }
    sum.retain(|_, values| values.iter().any(|value| *value != 0));
    assert_eq!(sum, values(new));

    let unchanged = baseline.advance(new, &cumulative);
    check_cumulative(&unchanged, &cumulative);
    // Now values fell, unless all of them were equal.
    match baseline.advance(&before, &cumulative) {
        Delta::First => panic!("the types are the same"),
        Delta::Reset(written) => check_cumulative(&Delta::Reset(written), &cumulative),
        Delta::Since(written) => drop(written.map(|bytes| values(&reread(&bytes)))),
    }
}

/// Asserts that all cumulative values of a delta are 0.
fn check_cumulative(delta: &Delta, cumulative: &[bool]) {
    let (Delta::Since(Some(bytes)) | Delta::Reset(Some(bytes))) = delta else {
        return;
    };
    for values in values(&reread(bytes)).values() {
        let mut values = values.iter().zip(cumulative);
        assert!(values.all(|(value, is_cumulative)| *value == 0 || !is_cumulative));
    }
}

fn reread(bytes: &[u8]) -> Pprof<'_> {
    Pprof::read(bytes, LIMIT).expect("a profile that was written can be read")
}

/// The values of a profile that was written: none is negative.
fn values(profile: &Pprof<'_>) -> Values {
    let keys = (0..profile.stacks()).map(|stack| (profile.key(stack).unwrap(), stack));
    let values: Values = keys
        .map(|(key, stack)| (key, profile.values(stack).to_vec()))
        .collect();
    assert!(values.values().flatten().all(|value| *value >= 0));
    values
}

/// The values of a profile as they are written: 0 instead of negative values, without stacks of zeros only.
fn positive(profile: &Pprof<'_>, all: &[i64]) -> Values {
    let values = all.chunks(profile.sample_types().len()).enumerate();
    let positive = values.map(|(stack, values)| {
        let values = values.iter().map(|value| (*value).max(0)).collect();
        (profile.key(stack).unwrap(), values)
    });
    positive
        .filter(|(_, values): &(u128, Vec<i64>)| values.iter().any(|value| *value != 0))
        .collect()
}
