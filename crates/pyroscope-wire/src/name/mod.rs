//! The value of the `name` query parameter: `app{key=value,…}`.
//!
//! The grammar is a state machine of four states, the same in both dialects but for the allowed
//! characters. It forgives a lot (no closing brace, text behind it) and has **no escaping**: only
//! `,` and `}` end a value, everything else belongs to it, and a value that holds one of these two
//! cannot be written. [`Tags`] therefore refuses such values before they get here.
//!
//! The law that makes rewriting safe: what [`Name`] prints is read by the server as exactly the
//! labels that `Name` holds. A plain normalized form would break it for one kind of name, see
//! [`Name`]'s `Display`.

mod dialect;

use std::fmt;

pub use dialect::{Dialect, NameFault};

use crate::tags::Tags;

/// The label that holds the application's name. Written inside the braces it replaces the name.
const APP_LABEL: &str = "__name__";

/// A parsed name. It borrows from the text it was parsed from and from the tags put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'n> {
    dialect: Dialect,
    /// What stands before the braces.
    written: &'n str,
    /// Sorted by key, each key once; may hold [`APP_LABEL`].
    labels: Vec<(&'n str, &'n str)>,
}

impl<'n> Name<'n> {
    /// Reads a name (already percent-decoded) as a server of that dialect reads it.
    ///
    /// # Errors
    /// The fault that this server would answer with.
    pub fn parse(input: &'n str, dialect: Dialect) -> Result<Self, NameFault> {
        let mut labels = Vec::new();
        let written = walk(input, dialect, |key, value| labels.push((key, value)))?;

        // The last of equal keys wins: it comes first once the order is reversed.
        labels.reverse();
        labels.sort_by_key(|&(key, _)| key);
        labels.dedup_by_key(|&mut (key, _)| key);
        Ok(Self {
            dialect,
            written,
            labels,
        })
    }

    /// Tells whether a name would parse, without building it.
    ///
    /// # Errors
    /// As [`Name::parse`].
    pub fn check(input: &str, dialect: Dialect) -> Result<(), NameFault> {
        walk(input, dialect, |_, _| ()).map(|_| ())
    }

    /// The name of the application, as the server understands it.
    pub fn app(&self) -> &'n str {
        self.get(APP_LABEL).unwrap_or(self.written)
    }

    /// The labels in order of their keys, without the name of the application.
    pub fn labels(&self) -> impl Iterator<Item = (&'n str, &'n str)> {
        self.labels
            .iter()
            .copied()
            .filter(|&(key, _)| key != APP_LABEL)
    }

    /// Puts the tags in; where the name has one of these keys, the tag wins.
    pub fn apply(&mut self, tags: &'n Tags) {
        for (key, value) in tags.iter() {
            self.upsert(key, value);
        }
    }

    /// The caller vouches that the pair can be written in this grammar, as [`Tags`] does.
    pub(crate) fn upsert(&mut self, key: &'n str, value: &'n str) {
        let at = self.labels.partition_point(|&(existing, _)| existing < key);
        match self.labels.get_mut(at) {
            Some((existing, old)) if *existing == key => *old = value,
            _ => self.labels.insert(at, (key, value)),
        }
    }

    fn get(&self, key: &str) -> Option<&'n str> {
        let at = self
            .labels
            .binary_search_by_key(&key, |&(existing, _)| existing)
            .ok()?;
        self.labels.get(at).map(|&(_, value)| value)
    }
}

/// Prints the normalized form: the name, then always braces, keys in byte order, no spaces.
///
/// The servers do not validate a name that came as `__name__=…` inside the braces, so it may be one
/// that cannot stand before them. Then, and only then, it stays where it was.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app();
        let can_lead = self.dialect.check_app(app).is_ok();
        f.write_str(if can_lead { app } else { self.written })?;

        let inside = self
            .labels
            .iter()
            .filter(|(key, _)| !(can_lead && *key == APP_LABEL));
        let mut separator = "{";
        for (key, value) in inside {
            for part in [separator, key, "=", value] {
                f.write_str(part)?;
            }
            separator = ",";
        }
        f.write_str(if separator == "{" { "{}" } else { "}" })
    }
}

/// Runs the state machine over a name and hands out each complete pair, in order of appearance.
/// Returns what stands before the braces.
///
/// The servers append a `{` before they begin, so that a name without braces ends somewhere. Behind
/// any other `{` it can only end up in an unfinished pair, which is lost anyway: left out here.
fn walk<'n>(
    input: &'n str,
    dialect: Dialect,
    mut pair: impl FnMut(&'n str, &'n str),
) -> Result<&'n str, NameFault> {
    let (app, mut rest) = input.split_once('{').unwrap_or((input, ""));
    let app = app.trim();
    dialect.check_app(app)?;

    // A `}` where a key is expected ends the name; behind a value it only ends the value.
    while let Some((key, b'=', after_key)) = cut(rest, [b'=', b'}']) {
        let Some((value, _, after_value)) = cut(after_key, [b',', b'}']) else {
            break;
        };
        let key = key.trim();
        dialect.check_key(key)?;
        pair(key, value.trim());
        rest = after_value;
    }
    Ok(app)
}

/// Splits at the first of two ASCII delimiters: before, which one, after.
fn cut(text: &str, delimiters: [u8; 2]) -> Option<(&str, u8, &str)> {
    let (at, delimiter) = text
        .bytes()
        .enumerate()
        .find(|(_, byte)| delimiters.contains(byte))?;
    Some((text.get(..at)?, delimiter, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests;
