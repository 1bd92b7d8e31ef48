//! The messages of `profile.proto`, as an independent reader and writer for tests, and profiles to test with.

use std::collections::BTreeMap;

use proptest::prelude::*;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(crate) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(crate) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(crate) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(crate) period: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(crate) comment: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(crate) kind: i64,
    #[prost(int64, tag = "2")]
    pub(crate) unit: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(crate) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) label: Vec<Label>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Label {
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    #[prost(int64, tag = "2")]
    pub(crate) text: i64,
    #[prost(int64, tag = "3")]
    pub(crate) num: i64,
    #[prost(int64, tag = "4")]
    pub(crate) num_unit: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "5")]
    pub(crate) filename: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Location {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) mapping_id: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) address: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) line: Vec<Line>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Line {
    #[prost(uint64, tag = "1")]
    pub(crate) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) line: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Function {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) name: i64,
    #[prost(int64, tag = "3")]
    pub(crate) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(crate) filename: i64,
}

/// Function of location `n` is `f{n}` in `dir/{n}.go`. Location 0 has the address 0.
pub(crate) fn profile(stacks: &[(&[usize], &[i64], Option<&str>)]) -> Profile {
    let mut strings: Vec<String> = ["", "alloc_space", "bytes", "inuse_space", "app", "thread"]
        .map(str::to_owned)
        .to_vec();
    let string = |text: String, strings: &mut Vec<String>| {
        let known = strings.iter().position(|known| *known == text);
        let place = known.unwrap_or_else(|| {
            strings.push(text);
            strings.len() - 1
        });
        i64::try_from(place).unwrap()
    };
    let mut profile = Profile {
        sample_type: vec![
            ValueType { kind: 1, unit: 2 },
            ValueType { kind: 3, unit: 2 },
        ],
        mapping: vec![Mapping { id: 1, filename: 4 }],
        time_nanos: 1_700_000_000_000_000_000,
        period: 524_288,
        period_type: Some(ValueType { kind: 3, unit: 2 }),
        ..Profile::default()
    };
    let most = stacks.iter().flat_map(|(stack, ..)| stack.iter()).max();
    for place in 0..=most.copied().unwrap_or(0) {
        let id = u64::try_from(place).unwrap() + 1;
        let name = string(format!("f{place}"), &mut strings);
        let filename = string(format!("dir/{place}.go"), &mut strings);
        profile.function.push(Function {
            id,
            name,
            system_name: name,
            filename,
        });
        profile.location.push(Location {
            id,
            mapping_id: 1,
            address: (id - 1) * 0x1000,
            line: vec![Line {
                function_id: id,
                line: 7,
            }],
        });
    }
    for (stack, values, label) in stacks {
        let label = label.map(|text| Label {
            key: 5,
            text: string((*text).to_owned(), &mut strings),
            ..Label::default()
        });
        profile.sample.push(Sample {
            location_id: stack
                .iter()
                .map(|it| u64::try_from(*it).unwrap() + 1)
                .collect(),
            value: values.to_vec(),
            label: label.into_iter().collect(),
        });
    }
    profile.string_table = strings;
    profile
}

/// The values by the texts of stack and labels: what a receiver sees.
pub(crate) fn seen(profile: &Profile) -> BTreeMap<String, Vec<i64>> {
    let text = |place: i64| profile.string_table[usize::try_from(place).unwrap()].clone();
    let mut seen = BTreeMap::new();
    for sample in &profile.sample {
        let mut key = String::new();
        for id in &sample.location_id {
            let location = profile.location.iter().find(|it| it.id == *id).unwrap();
            for line in &location.line {
                let function = profile.function.iter().find(|it| it.id == line.function_id);
                let function = function.unwrap();
                key += &format!(
                    "{} {}:{};",
                    text(function.name),
                    text(function.filename),
                    line.line
                );
            }
        }
        let mut labels: Vec<_> = sample
            .label
            .iter()
            .map(|it| (text(it.key), text(it.text)))
            .collect();
        labels.sort();
        key += &format!("{labels:?}");
        let sums = seen
            .entry(key)
            .or_insert_with(|| vec![0; sample.value.len()]);
        for (sum, value) in sums.iter_mut().zip(&sample.value) {
            *sum += value;
        }
    }
    seen.retain(|_, values| values.iter().any(|value| *value != 0));
    seen
}

/// A stack of functions, two values, and whether it has a label.
pub(crate) type Stack = (Vec<usize>, i64, i64, bool);

pub(crate) fn stacks() -> impl Strategy<Value = Vec<Stack>> {
    let stack = (
        prop::collection::vec(0usize..6, 0..4),
        0i64..50,
        0i64..50,
        any::<bool>(),
    );
    prop::collection::vec(stack, 0..12)
}

pub(crate) fn build(stacks: &[Stack]) -> Profile {
    let stacks: Vec<_> = stacks
        .iter()
        .map(|(stack, one, other, label)| (&stack[..], vec![*one, *other], label.then_some("t")))
        .collect();
    let stacks: Vec<_> = stacks
        .iter()
        .map(|(stack, values, label)| (*stack, &values[..], *label))
        .collect();
    profile(&stacks)
}
