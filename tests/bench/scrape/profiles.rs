//! Profiles like those of a Go program: thousands of stacks that share their callers, of which a few grow from one
//! profile to the next.

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::{INTERVAL, kind::Kind};
use crate::support::message::field;

/// Sizes of applications, in percent of [`Kind::stacks`].
const SIZES: [usize; 8] = [60, 70, 80, 90, 100, 110, 120, 140];

/// Growth of the number of stacks from one profile to the next, in percent.
const GROWTH: usize = 1;

/// Stacks whose cumulative values grow from one profile to the next, in percent.
const ACTIVE: u64 = 15;

/// The responses of all applications, written beforehand: the applications share the machine with the relay.
#[derive(Debug)]
pub(crate) struct Profiles {
    /// By size, kind and number of the scrape.
    bodies: Vec<[Vec<Bytes>; Kind::ALL.len()]>,
    /// Bytes of all profiles before compression, and after it.
    pub(crate) plain: usize,
    pub(crate) packed: usize,
}

impl Profiles {
    /// Profiles for so many scrapes of each loop.
    pub(crate) fn new(scrapes: usize) -> Self {
        let (mut plain, mut packed) = (0, 0);
        let mut body = |program: &Program, size: usize, kind: Kind, scrape: usize| {
            let stacks = kind.stacks() * size / 100 * (100 + GROWTH * scrape) / 100;
            let profile = program.profile(kind, stacks, scrape as u64);
            // Go compresses with the fastest level.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&profile).unwrap();
            let body = encoder.finish().unwrap();
            plain += profile.len();
            packed += body.len();
            Bytes::from(body)
        };
        let of_size = |size: &usize| {
            let program = Program::new(*size as u64);
            Kind::ALL.map(|kind| {
                let different = if kind.is_cumulative() { scrapes } else { 2 };
                let numbers = 0..different;
                numbers
                    .map(|scrape| body(&program, *size, kind, scrape))
                    .collect()
            })
        };
        let bodies = SIZES.iter().map(of_size).collect();
        Self {
            bodies,
            plain,
            packed,
        }
    }

    /// What an application answers to its `scrape`th request for a profile, counted from 0.
    pub(crate) fn body(&self, application: usize, kind: Kind, scrape: usize) -> Bytes {
        let of_kind = &self.bodies[application % SIZES.len()][kind as usize];
        let number = match kind.is_cumulative() {
            true => scrape.min(of_kind.len() - 1),
            false => scrape % of_kind.len(),
        };
        of_kind[number].clone()
    }
}

/// The call tree of a program.
#[derive(Debug)]
struct Program {
    seed: u64,
    /// The caller of each call.
    callers: Vec<usize>,
}

impl Program {
    const CALLS: usize = 6_000;

    fn new(seed: u64) -> Self {
        let callers = (0..Self::CALLS as u64).map(|call| {
            let one = hash(seed, call, 1) % call.max(1);
            // The later one of two, which makes stacks of some 16 calls.
            let other = hash(seed, call, 2) % call.max(1);
            usize::try_from(one.max(other)).unwrap()
        });
        Self {
            seed,
            callers: callers.collect(),
        }
    }

    /// The profile at the `scrape`th time, with stacks that end in the last `stacks` calls.
    fn profile(&self, kind: Kind, stacks: usize, scrape: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut strings: Vec<String> = vec![String::new(), "app".to_owned()];
        for (name, unit) in kind.types() {
            strings.extend([(*name).to_owned(), (*unit).to_owned()]);
            let name = strings.len() as u64 - 2;
            let both = [number(1, name), number(2, name + 1)].concat();
            out.extend(field(1, &both));
        }
        let mut is_used = vec![false; Self::CALLS];
        // Further stacks come last, so that the stacks of one scrape are in all later ones.
        for nth in 0..stacks.min(Self::CALLS - 1) {
            let mut call = Self::CALLS - 1 - nth;
            let mut stack = Vec::new();
            while call > 0 {
                is_used[call] = true;
                put_varint(&mut stack, call as u64);
                call = self.callers[call];
            }
            let mut values = Vec::new();
            for value in self.values(kind, nth as u64, scrape) {
                put_varint(&mut values, value);
            }
            out.extend(field(2, &[field(1, &stack), field(2, &values)].concat()));
        }
        out.extend(field(3, &[number(1, 1), number(5, 1)].concat()));
        for call in (1..Self::CALLS).filter(|call| is_used[*call]) {
            let (id, name) = (call as u64, strings.len() as u64);
            let line = field(4, &[number(1, id), number(2, 10 + id % 500)].concat());
            let address = number(3, 0x40_0000 + id * 64);
            let location = [number(1, id), number(2, 1), address, line].concat();
            out.extend(field(4, &location));
            let function = [
                number(1, id),
                number(2, name),
                number(3, name),
                number(4, name + 1),
            ];
            out.extend(field(5, &function.concat()));
            let package = hash(self.seed, id, 3) % 150;
            strings.push(format!(
                "example.com/shop/internal/package{package}.(*Type{}).Method{id}",
                id % 40
            ));
            strings.push(format!("/src/shop/internal/package{package}/file{id}.go"));
        }
        for text in &strings {
            out.extend(field(6, text.as_bytes()));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        out.extend(number(9, nanos(now) + nanos(INTERVAL) * scrape));
        out
    }

    /// The values of a stack. What counts since the start grows, and memory in use comes and goes.
    fn values(&self, kind: Kind, stack: u64, scrape: u64) -> Vec<u64> {
        let of = |scrape: u64, salt: u64| hash(self.seed + stack, scrape, salt);
        let is_active = |scrape: &u64| of(*scrape, 4) % 100 < ACTIVE;
        let grown: u64 = (1..=scrape)
            .filter(is_active)
            .map(|scrape| 1 + of(scrape, 5) % 200)
            .sum();
        let count = 1 + of(0, 6) % 10_000 + grown;
        let size = 16 << (of(0, 7) % 12);
        match kind {
            Kind::Cpu => vec![1 + count % 50, (1 + count % 50) * 10_000_000],
            Kind::Mem => {
                let is_in_use = of(0, 8).is_multiple_of(3);
                let in_use = if is_in_use { of(scrape, 9) % 100 } else { 0 };
                vec![count, count * size, in_use, in_use * size]
            }
            Kind::Goroutines => vec![1 + of(scrape, 9) % 20],
            Kind::Mutex | Kind::Block => vec![count, count * 1_000 + grown],
        }
    }
}

/// A number that depends on three others, and looks random (the last steps of SplitMix64).
fn hash(one: u64, other: u64, salt: u64) -> u64 {
    let mut x = (one << 40) ^ (other << 8) ^ salt;
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A field with an integer.
fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, field << 3);
    put_varint(&mut out, value);
    out
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}
