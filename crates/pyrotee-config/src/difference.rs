//! What differs between two configurations, and which keys change while the relay runs.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sha2::{Digest as _, Sha256};

use crate::{
    entries::{self, Entry, Value},
    settings::{Config, Target},
};

/// Keys and sections that change while the relay runs; all others need a restart.
const LIVE: [&str; 12] = [
    "admin-hosts",
    // Keys of a section whose presence needs a restart.
    "admin-tls.",
    "admin-token",
    "listen-tls.",
    "log.level",
    "reload",
    "remote-write",
    "scrape",
    "scrape-configs",
    "shutdown.grace",
    "tee",
    "upstream.tls",
];

/// Sections whose presence turns TLS of a listener on.
const LISTENER_TLS: [&str; 2] = ["listen-tls", "admin-tls"];

/// One key that differs between two configurations. Shows no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key with its sections, such as `remote-write.targets.central.tags.pod`; for a target that is added or removed
    /// as a whole `remote-write.targets.NAME`, for TLS of a listener `listen-tls` or `admin-tls`, for a job of pull mode `scrape-configs[NAME]`, for rules in another order `remote-write.targets.NAME.outcomes`.
    pub key: String,
    pub kind: ChangeKind,
}

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

impl ChangeKind {
    /// The word for reports: `added`, `removed` or `changed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a key keeps its value until the next start, because it does not change while the relay runs.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    let is_in = |live: &&str| {
        let rest = key.strip_prefix(*live);
        let whole = live.ends_with('.');
        rest.is_some_and(|rest| whole || rest.is_empty() || rest.starts_with(['.', '[']))
    };
    !LIVE.iter().any(is_in)
}

impl Config {
    /// The keys whose effective values are others in `new`, in the order of [`Config::to_yaml`]. The order of targets, jobs,
    /// tags and headers does not count, the order of `outcomes` does. Secrets are compared by value.
    #[must_use]
    pub fn difference(&self, new: &Config) -> Vec<KeyChange> {
        let (old, new) = (entries::of(self), entries::of(new));
        let both: BTreeSet<&str> = {
            let olds: BTreeSet<_> = old.iter().filter_map(target_of).collect();
            let news = new.iter().filter_map(target_of);
            news.filter(|name| olds.contains(name)).collect()
        };
        let mut changes: Vec<KeyChange> = Vec::new();
        for (path, kind) in differences(&old, &new) {
            let whole = target_in(path).is_some_and(|name| !both.contains(name));
            let path = match section_of(path) {
                _ if whole => path.get(..3),
                Some(section) if is_in(&old, section) != is_in(&new, section) => path.get(..1),
                _ => None,
            }
            .unwrap_or(path);
            let change = KeyChange {
                key: joined(path),
                kind,
            };
            if changes.last() != Some(&change) {
                changes.push(change);
            }
        }
        changes
    }

    /// The start of the SHA-256 of [`Config::to_yaml`], as 16 hex digits. A changed secret does not change it.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.to_yaml());
        let start = digest.iter().take(8);
        start.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether a target is delivered to in the same way. Secrets are compared by value, the order of headers does not count.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        let (old, new) = (entries::of_target(self), entries::of_target(other));
        self.name == other.name && differences(&old, &new).is_empty()
    }
}

impl Eq for Target {}

type Path<'a> = [Cow<'a, str>];

/// The section of TLS of a listener, or the job, that a path is in.
fn section_of<'e>(path: &'e Path<'_>) -> Option<&'e str> {
    let first = path.first()?.as_ref();
    let is_job = entries::list_key(first).is_some();
    (LISTENER_TLS.contains(&first) || is_job).then_some(first)
}

fn is_in(entries: &[Entry<'_>], section: &str) -> bool {
    entries
        .iter()
        .any(|entry| section_of(&entry.path) == Some(section))
}

/// The name of the target that an entry belongs to.
fn target_of<'e>(entry: &'e Entry<'_>) -> Option<&'e str> {
    target_in(&entry.path)
}

fn target_in<'e>(path: &'e Path<'_>) -> Option<&'e str> {
    match path {
        [write, targets, name, _, ..] if write == "remote-write" && targets == "targets" => {
            Some(name)
        }
        _ => None,
    }
}

/// A path joined by dots. Patterns of `outcomes` may contain any character, and a key is one line.
fn joined(path: &Path<'_>) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    path.join(".").chars().map(plain).collect()
}

/// The paths that differ, in the order of `new`; a removed one follows the entry that it followed in `old`.
fn differences<'e>(old: &'e [Entry<'_>], new: &'e [Entry<'_>]) -> Vec<(&'e Path<'e>, ChangeKind)> {
    let index = |entries: &'e [Entry<'_>]| -> BTreeMap<&'e Path<'e>, (usize, &'e Value<'e>)> {
        let keys = entries.iter().enumerate();
        let keys = keys.filter(|(_, entry)| entry.value != Value::EmptyMap);
        keys.map(|(rank, entry)| (entry.path.as_slice(), (rank, &entry.value)))
            .collect()
    };
    let (olds, news) = (index(old), index(new));
    let mut found = Vec::new();
    for (path, (rank, value)) in &news {
        let kind = match olds.get(path) {
            None => ChangeKind::Added,
            Some((_, before)) if before != value => ChangeKind::Changed,
            Some(_) => continue,
        };
        found.push(((*rank + 1, 0), *path, kind));
    }
    let mut after = 0;
    for (rank, entry) in old.iter().enumerate() {
        let path = entry.path.as_slice();
        match news.get(path) {
            Some((in_new, _)) => after = *in_new + 1,
            None if olds.contains_key(path) => {
                found.push(((after, rank + 1), path, ChangeKind::Removed));
            }
            None => {}
        }
    }
    let (before, now) = (rules(old, &news), rules(new, &olds));
    for (section, (first, order)) in &now {
        if before
            .get(section)
            .is_some_and(|(_, before)| before != order)
        {
            found.push(((*first + 1, 0), *section, ChangeKind::Changed));
        }
    }
    found.sort_by_key(|(place, ..)| *place);
    found
        .into_iter()
        .map(|(_, path, kind)| (path, kind))
        .collect()
}

/// The rules of each section of `entries` that are in `other` as well: place of the first one, and their order.
fn rules<'e, T>(
    entries: &'e [Entry<'_>],
    other: &BTreeMap<&'e Path<'e>, T>,
) -> BTreeMap<&'e Path<'e>, (usize, Vec<&'e str>)> {
    let mut rules = BTreeMap::new();
    for (rank, entry) in entries.iter().enumerate() {
        if let (Value::Rule(_), Some((pattern, section))) = (&entry.value, entry.path.split_last())
            && other.contains_key(entry.path.as_slice())
        {
            let (_, order) = rules.entry(section).or_insert((rank, Vec::new()));
            order.push(pattern.as_ref());
        }
    }
    rules
}
