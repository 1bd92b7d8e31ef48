//! The value of the `name` query parameter: `app{key=value,…}`.
//!
//! The servers parse a name with a state machine of four states. Both dialects share the states and differ in
//! the allowed characters. A missing closing brace is no error, nor is text behind the brace. The grammar has
//! **no escaping**: only `,` and `}` end a value, so no value can contain one of them. [`Tags`] therefore
//! refuses such values before they get here.
//!
//! Invariant: the server reads a printed [`Name`] as exactly the labels of that `Name`. For one kind
//! of name the normalized form would break this invariant: see the `Display` of [`Name`].

mod dialect;

use std::fmt;

pub use dialect::{Dialect, NameFault};

use crate::byte_set::ByteSet;
use crate::tags::Tags;

/// The label that holds the application's name. A `__name__` inside the braces replaces the name before the
/// braces.
const APP_LABEL: &str = "__name__";

/// A parsed `name` parameter. It borrows from the parsed text and from the tags applied to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'n> {
    dialect: Dialect,
    /// The text before the braces.
    written: &'n str,
    /// Sorted by key, each key once; may hold [`APP_LABEL`].
    labels: Vec<(&'n str, &'n str)>,
}

impl<'n> Name<'n> {
    /// Parses a name (already percent-decoded) as a server of that dialect does.
    ///
    /// # Errors
    /// The fault with which this server refuses the name.
    pub fn parse(input: &'n str, dialect: Dialect) -> Result<Self, NameFault> {
        // Room for the labels of most names, and for tags.
        let mut labels = Vec::with_capacity(8);
        let written = walk(input, dialect, |key, value| labels.push((key, value)))?;

        // The last of equal keys wins.
        labels.sort_by_key(|&(key, _)| key);
        labels.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = next.1;
            }
            same
        });
        Ok(Self {
            dialect,
            written,
            labels,
        })
    }

    /// Checks that a name parses, without building a [`Name`].
    ///
    /// # Errors
    /// As [`Name::parse`].
    pub fn check(input: &str, dialect: Dialect) -> Result<(), NameFault> {
        walk(input, dialect, |_, _| ()).map(|_| ())
    }

    /// The name of the application, as the server reads it.
    pub fn app(&self) -> &'n str {
        self.get(APP_LABEL).unwrap_or(self.written)
    }

    /// The labels, sorted by key, without the name of the application.
    pub fn labels(&self) -> impl Iterator<Item = (&'n str, &'n str)> {
        self.labels
            .iter()
            .copied()
            .filter(|&(key, _)| key != APP_LABEL)
    }

    /// Adds the tags. A tag replaces a label with the same key.
    pub fn apply(&mut self, tags: &'n Tags) {
        for (key, value) in tags.iter() {
            self.upsert(key, value);
        }
    }

    /// Adds a label or replaces its value. The caller guarantees that the grammar can express the pair,
    /// as [`Tags`] does.
    pub(crate) fn upsert(&mut self, key: &'n str, value: &'n str) {
        let at = self.labels.partition_point(|&(existing, _)| existing < key);
        match self.labels.get_mut(at) {
            Some((existing, old)) if *existing == key => *old = value,
            _ => self.labels.insert(at, (key, value)),
        }
    }

    /// Writes the normalized form: the name, then always braces, keys in byte order, no spaces.
    ///
    /// The servers do not validate a name that is given as `__name__=…` inside the braces, so such a name may
    /// be invalid before the braces. In that case alone the name stays inside the braces.
    pub(crate) fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let app = self.get(APP_LABEL);
        let can_lead = app.is_none_or(|app| self.dialect.check_app(app).is_ok());
        out.write_str(app.filter(|_| can_lead).unwrap_or(self.written))?;

        let inside = self
            .labels
            .iter()
            .filter(|(key, _)| !(can_lead && *key == APP_LABEL));
        let mut delimiter = '{';
        for (key, value) in inside {
            out.write_char(delimiter)?;
            out.write_str(key)?;
            out.write_char('=')?;
            out.write_str(value)?;
            delimiter = ',';
        }
        if delimiter == '{' {
            out.write_char(delimiter)?;
        }
        out.write_char('}')
    }

    fn get(&self, key: &str) -> Option<&'n str> {
        let at = self
            .labels
            .binary_search_by_key(&key, |&(existing, _)| existing)
            .ok()?;
        self.labels.get(at).map(|&(_, value)| value)
    }
}

/// Prints the normalized form.
impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Runs the servers' state machine over a name, and calls `pair` for each complete pair, in order of
/// appearance. Returns the text before the braces.
///
/// The servers append a `{` before they begin, so that a name without braces has an end. Behind another `{` the
/// appended `{` could only become part of an unfinished pair, which the servers drop. So this function appends
/// nothing.
fn walk<'n>(
    input: &'n str,
    dialect: Dialect,
    mut pair: impl FnMut(&'n str, &'n str),
) -> Result<&'n str, NameFault> {
    // A `}` where a key is expected ends the name; behind a value it only ends the value.
    static KEY_ENDS: ByteSet = ByteSet::of(b"=}");
    static VALUE_ENDS: ByteSet = ByteSet::of(b",}");

    let (app, mut rest) = input.split_once('{').unwrap_or((input, ""));
    let app = trim(app);
    dialect.check_app(app)?;

    while let Some((key, b'=', after_key)) = cut(rest, &KEY_ENDS) {
        let Some((value, _, after_value)) = cut(after_key, &VALUE_ENDS) else {
            break;
        };
        let key = trim(key);
        dialect.check_key(key)?;
        pair(key, trim(value));
        rest = after_value;
    }
    Ok(app)
}

/// Trims as `str::trim` does, but faster if there is nothing to trim.
fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// Splits at the first of some ASCII delimiters. Returns the text before the delimiter, the delimiter, and the
/// text after it.
fn cut<'n>(text: &'n str, delimiters: &ByteSet) -> Option<(&'n str, u8, &'n str)> {
    let at = delimiters.first_in(text.as_bytes())?;
    let delimiter = *text.as_bytes().get(at)?;
    Some((text.get(..at)?, delimiter, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests;
