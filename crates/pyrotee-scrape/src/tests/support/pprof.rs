//! Small profiles.

use std::collections::BTreeMap;

use bytes::Bytes;
use pyroscope_wire::gzip::{compress, decompress};
use pyroscope_wire::proto::{put_field, put_varint};
use pyrotee_pprof::Pprof;

/// A heap profile. The function of location `n` is `f{n}`.
#[derive(Debug, Clone, Default)]
pub(in crate::tests) struct Heap {
    /// Location, `alloc_space`, `inuse_space`.
    pub(in crate::tests) stacks: Vec<(u64, i64, i64)>,
    /// Whether locations have the address 0, as in profiles of Node.js and Python.
    pub(in crate::tests) has_no_addresses: bool,
    pub(in crate::tests) time_nanos: u64,
}

impl Heap {
    pub(in crate::tests) fn of(stacks: &[(u64, i64, i64)]) -> Self {
        Self {
            stacks: stacks.to_vec(),
            ..Self::default()
        }
    }

    /// The profile as Go's handlers send it.
    pub(in crate::tests) fn gzip(&self) -> Vec<u8> {
        gzip(&self.plain())
    }

    pub(in crate::tests) fn plain(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, unit) in [(1, 2), (3, 2)] {
            put_field(&mut out, 1, &numbers(&[(1, kind), (2, unit)]));
        }
        for (location, alloc, inuse) in &self.stacks {
            let values = [(1, *location), (2, cast(*alloc)), (2, cast(*inuse))];
            put_field(&mut out, 2, &numbers(&values));
        }
        for (location, ..) in &self.stacks {
            let address = if self.has_no_addresses {
                0
            } else {
                location * 4096
            };
            let mut message = numbers(&[(1, *location), (3, address)]);
            put_field(&mut message, 4, &numbers(&[(1, *location), (2, 7)]));
            put_field(&mut out, 4, &message);
        }
        for (place, (location, ..)) in self.stacks.iter().enumerate() {
            put_field(
                &mut out,
                5,
                &numbers(&[(1, *location), (2, 4 + place as u64)]),
            );
        }
        for text in ["", "alloc_space", "bytes", "inuse_space"] {
            put_field(&mut out, 6, text.as_bytes());
        }
        for (location, ..) in &self.stacks {
            put_field(&mut out, 6, format!("f{location}").as_bytes());
        }
        out.extend(numbers(&[(9, self.time_nanos)]));
        out
    }
}

/// A CPU profile.
pub(in crate::tests) fn cpu() -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, 1, &numbers(&[(1, 1), (2, 2)]));
    for text in ["", "samples", "count"] {
        put_field(&mut out, 6, text.as_bytes());
    }
    gzip(&out)
}

pub(in crate::tests) fn gzip(content: &[u8]) -> Vec<u8> {
    compress(&[Bytes::copy_from_slice(content)]).to_vec()
}

/// `alloc_space` and `inuse_space` by location.
pub(super) fn read_heap(packed: &[u8]) -> BTreeMap<u64, (i64, i64)> {
    let content = decompress(&[Bytes::copy_from_slice(packed)], 1 << 24).unwrap();
    let profile = Pprof::read(&content, 1 << 24).unwrap();
    let mut all = Vec::new();
    for stack in 0..profile.stacks() {
        let [alloc, inuse] = profile.values(stack) else {
            panic!("two values");
        };
        all.push((*alloc, *inuse));
    }
    // Stacks are in the order of the samples; their locations are read from the samples.
    let samples = pyroscope_wire::proto::Fields::new(&content).flatten();
    let samples = samples.filter(|field| field.number == 2);
    let locations = samples.map(|sample| {
        let fields = pyroscope_wire::proto::Fields::within(&content, sample.value.clone());
        let mut fields = fields.flatten().filter(|field| field.number == 1);
        fields.next().unwrap().varint(&content).unwrap()
    });
    locations.zip(all).collect()
}

fn numbers(fields: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, value) in fields {
        put_varint(&mut out, number << 3);
        put_varint(&mut out, *value);
    }
    out
}

fn cast(value: i64) -> u64 {
    u64::try_from(value).unwrap()
}
