//! Raw query strings, read exactly as Go's `url.ParseQuery` reads them.
//!
//! Pyroscope is written in Go, so what its parser drops does not exist for the server: a pair that
//! holds a raw `;` or a malformed percent escape is gone without an error. The usual Rust readers
//! (the WHATWG form rules) keep such pairs and would see parameters that the server does not.
//!
//! A query is only ever edited in place: [`replace`] changes the bytes of single values and leaves
//! order, unknown parameters and spelling of everything else as the client sent them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 §2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The value of one pair, still as the client wrote it, and where it stands in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'q> {
    raw: &'q str,
    start: usize,
    has_equals: bool,
}

impl<'q> Value<'q> {
    /// The value before decoding.
    pub fn raw(&self) -> &'q str {
        self.raw
    }

    /// The bytes of the raw value within the query. Empty, right behind the key, if the pair has
    /// no `=`.
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The value as a Go server sees it once it has looked at it rune by rune: escapes undone, `+`
    /// as a space, and one U+FFFD for **each** byte that is not UTF-8.
    pub fn decode(&self) -> Cow<'q, str> {
        match unescape(self.raw) {
            Cow::Borrowed(bytes) => runes(bytes),
            Cow::Owned(bytes) => Cow::Owned(runes(&bytes).into_owned()),
        }
    }
}

/// Finds the first surviving pair of each key, in one pass over the query.
///
/// Keys are compared after decoding, as the server does: `%6eame=x` sets `name`.
pub fn first<'q, const N: usize>(query: &'q str, keys: [&str; N]) -> [Option<Value<'q>>; N] {
    let mut found = [const { None }; N];
    let mut start = 0;
    for pair in query.split('&') {
        let (key, raw, has_equals) = match pair.split_once('=') {
            Some((key, raw)) => (key, raw, true),
            None => (pair, "", false),
        };
        let wanted = keys
            .iter()
            .zip(&mut found)
            .find(|(wanted, slot)| slot.is_none() && unescape(key).as_ref() == wanted.as_bytes());
        if let Some((_, slot)) = wanted
            && survives(pair)
        {
            let start = start + key.len() + usize::from(has_equals);
            *slot = Some(Value {
                raw,
                start,
                has_equals,
            });
        }
        start += pair.len() + 1;
    }
    found
}

/// Writes the query with some values replaced; all other bytes stay as they are.
///
/// Each replacement is plain text and is encoded here, everything but unreserved characters. The
/// values must come from [`first`] on this same query.
pub fn replace<'q>(query: &str, edits: impl IntoIterator<Item = (Value<'q>, String)>) -> String {
    let mut edits: Vec<_> = edits.into_iter().collect();
    edits.sort_by_key(|(value, _)| value.start);

    let mut out = String::with_capacity(query.len() + query.len() / 4 + 64);
    let mut copied = 0;
    for (value, text) in &edits {
        let span = value.span();
        out.push_str(query.get(copied..span.start).unwrap_or_default());
        if !value.has_equals {
            out.push('=');
        }
        out.extend(utf8_percent_encode(text, ESCAPED));
        copied = span.end;
    }
    out.push_str(query.get(copied..).unwrap_or_default());
    out
}

/// Encodes plain text as the value of a pair: everything but unreserved characters.
pub fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

/// Whether `url.ParseQuery` keeps this non-empty pair.
fn survives(pair: &str) -> bool {
    if pair.contains(';') {
        return false;
    }
    let mut escapes = pair.split('%');
    escapes.next();
    escapes.all(|rest| {
        let mut digits = rest.bytes();
        [digits.next(), digits.next()]
            .iter()
            .all(|digit| digit.is_some_and(|byte| byte.is_ascii_hexdigit()))
    })
}

fn unescape(raw: &str) -> Cow<'_, [u8]> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(raw.as_bytes());
    }
    let spaced = raw.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).collect())
}

/// Reads bytes as Go's `for range` over a string does. `from_utf8_lossy` would join the bytes of
/// a truncated sequence into a single replacement character.
fn runes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests;
