//! The configurations of a storm, each one change away from the configuration before.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Builder;

/// The target that is never removed: without any target, clients of a relay without an upstream would get a 503.
const ANCHOR: &str = "anchor";

/// Names of the other targets, which come, go and return.
const NAMES: usize = 12;

/// Most of the other targets at once.
const MOST: usize = 5;

/// What a key of a target says in each of its versions; nothing if the key is left out.
type Line = fn(usize) -> String;

/// The keys of a target besides address and tags.
const KEYS: [Line; 13] = [
    credentials,
    |v| when(v % 2 == 1, format!("tenant-id: t{v}")),
    |v| when(v % 3 > 0, format!("headers: {{ X-Version: v{v} }}")),
    |v| when(v % 2 == 1, "tag-keys: utf8".to_owned()),
    |v| when(v % 2 == 1, format!("paths: {{ ingest: /p{v}/ingest }}")),
    |v| format!("timeout: {}s", 20 + v),
    |v| format!("queue-size: {}", 20_000 + v),
    |v| format!("queue-bytes: {}MiB", 32 + v % 16),
    |v| format!("queue-workers: {}", 4 + v % 60),
    |v| when(v % 2 == 1, "on-full: drop-oldest".to_owned()),
    |v| format!("max-age: {}m", 40 + v),
    |v| when(v % 2 == 1, "on-ambiguous: drop".to_owned()),
    |v| format!("replay-rate: {}MB", 50 + v),
];

/// The version of each key of a target: address, tag, rules of outcomes, and [`KEYS`].
type Versions = [usize; 3 + KEYS.len()];

/// The targets in force, and the dice that change them.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    dice: Dice,
    addresses: Vec<String>,
    targets: BTreeMap<String, Versions>,
}

impl Plan {
    pub(super) fn new(seed: u64, addresses: Vec<String>) -> Self {
        let targets = [ANCHOR, "t0", "t1"].map(|name| (name.to_owned(), Versions::default()));
        Self {
            dice: Dice(0x9e37_79b9_7f4a_7c15 ^ seed),
            addresses,
            targets: targets.into(),
        }
    }

    /// The names of the targets in force.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.targets.keys().cloned().collect()
    }

    /// Adds, removes, renames or changes targets.
    pub(super) fn step(&mut self) {
        let others = self.targets.len() - 1;
        match self.dice.below(10) {
            0..=2 if others < MOST => {
                let name = self.free_name();
                self.targets.insert(name, Versions::default());
            }
            3..=4 if others > 0 => {
                let name = self.other();
                self.targets.remove(&name);
            }
            5..=6 if others > 0 => {
                let (old, new) = (self.other(), self.free_name());
                let versions = self.targets.remove(&old).unwrap_or_default();
                self.targets.insert(new, versions);
            }
            7 => {
                for versions in self.targets.values_mut() {
                    versions.iter_mut().for_each(|version| *version += 1);
                }
            }
            _ => {
                let nth = self.dice.below(self.targets.len());
                let key = self.dice.below(Versions::default().len());
                let versions = self.targets.values_mut().nth(nth);
                versions.expect("there are so many")[key] += 1;
            }
        }
    }

    /// The configuration: `base` and the targets in force.
    pub(super) fn render(&self, base: &Builder) -> Builder {
        self.targets
            .iter()
            .fold(base.clone(), |builder, (name, versions)| {
                let [address, tag, outcomes, keys @ ..] = versions;
                let address = &self.addresses[address % self.addresses.len()];
                // Tells the name under which an upload was made.
                let tags = format!("tags: {{ target: {name}, version: v{tag} }}");
                let outcomes = format!("outcomes: {{ \"{}\": transient }}", 520 + outcomes);
                let keys = KEYS.iter().zip(keys).map(|(line, version)| line(*version));
                // Some keys make two lines.
                let keys: Vec<_> = keys.filter(|line| !line.is_empty()).collect();
                let lines: Vec<_> = keys.iter().flat_map(|key| key.lines()).collect();
                let options = [&[&*tags, &*outcomes], &lines[..]].concat();
                builder.target_address(name, address, &options)
            })
    }

    /// A target in force other than the anchor.
    fn other(&mut self) -> String {
        let others: Vec<_> = self.targets.keys().filter(|name| *name != ANCHOR).collect();
        others[self.dice.below(others.len())].clone()
    }

    /// A name that no target in force has.
    fn free_name(&mut self) -> String {
        loop {
            let name = format!("t{}", self.dice.below(NAMES));
            if !self.targets.contains_key(&name) {
                return name;
            }
        }
    }
}

fn when(is_set: bool, line: String) -> String {
    if is_set { line } else { String::new() }
}

fn credentials(version: usize) -> String {
    match version % 3 {
        0 => String::new(),
        1 => format!("auth-token: token{version}"),
        _ => format!("basic-auth-user: u{version}\nbasic-auth-password: p{version}"),
    }
}

/// Numbers that look random and are the same in each run.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}
