//! Raw query strings, read exactly as Go's `url.ParseQuery` reads them.
//!
//! Pyroscope is written in Go, so what its parser drops does not exist for the server: a pair that
//! holds a raw `;` or a malformed percent escape is gone without an error. The usual Rust readers
//! (the WHATWG form rules) keep such pairs and would see parameters that the server does not.
//!
//! A query is only ever edited in place: [`replace`] changes the bytes of single values and leaves
//! order, unknown parameters and spelling of everything else as the client sent them.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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
        match unescape(self.raw.as_bytes()) {
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
    for pair in query.as_bytes().split(|byte| *byte == b'&') {
        let equals = pair.iter().position(|byte| *byte == b'=');
        let has_equals = equals.is_some();
        let (key, _) = pair.split_at(equals.unwrap_or(pair.len()));
        let decoded = unescape(key);
        let wanted = keys
            .iter()
            .zip(&mut found)
            .find(|(wanted, slot)| slot.is_none() && *decoded == *wanted.as_bytes());
        if let Some((_, slot)) = wanted
            && survives(pair)
        {
            let end = start + pair.len();
            let start = start + key.len() + usize::from(has_equals);
            *slot = Some(Value {
                raw: query.get(start..end).unwrap_or_default(),
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
/// Each replacement prints plain text and is encoded here, everything but unreserved characters. The
/// values must come from [`first`] on this same query.
pub fn replace<'q>(
    query: &str,
    edits: impl IntoIterator<Item = (Value<'q>, &'q dyn fmt::Display)>,
) -> String {
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
        let _always_ok = write!(Encoder(&mut out), "{text}");
        copied = span.end;
    }
    out.push_str(query.get(copied..).unwrap_or_default());
    out
}

/// Encodes what is printed into it: a name is never there as a whole.
struct Encoder<'o>(&'o mut String);

impl Write for Encoder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(utf8_percent_encode(text, ESCAPED));
        Ok(())
    }
}

/// Encodes plain text as the value of a pair: everything but unreserved characters.
pub fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

/// Whether `url.ParseQuery` keeps this non-empty pair.
fn survives(pair: &[u8]) -> bool {
    let mut bytes = pair.iter();
    while let Some(byte) = bytes.next() {
        let mut is_digit = || bytes.next().is_some_and(u8::is_ascii_hexdigit);
        if *byte == b';' || *byte == b'%' && !(is_digit() && is_digit()) {
            return false;
        }
    }
    true
}

/// Undoes escapes. What is not well-formed stays as it is: the pair does not survive anyway.
///
/// By hand, because every profile passes here and `percent_decode` takes 40 instructions for a byte.
fn unescape(mut raw: &[u8]) -> Cow<'_, [u8]> {
    let is_special = |byte: &u8| matches!(byte, b'%' | b'+');
    let mut bytes = Vec::new();
    while let Some((plain, [special, rest @ ..])) = raw
        .iter()
        .position(is_special)
        .and_then(|at| raw.split_at_checked(at))
    {
        if bytes.is_empty() {
            bytes.reserve_exact(raw.len());
        }
        bytes.extend_from_slice(plain);
        let escaped = (*special == b'%').then(|| escape(rest)).flatten();
        match escaped {
            Some((byte, behind)) => {
                bytes.push(byte);
                raw = behind;
            }
            None => {
                bytes.push(if *special == b'+' { b' ' } else { b'%' });
                raw = rest;
            }
        }
    }
    if bytes.is_empty() {
        return Cow::Borrowed(raw);
    }
    bytes.extend_from_slice(raw);
    Cow::Owned(bytes)
}

/// The byte that two hexadecimal digits stand for, and what comes after them.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    let byte = u8::try_from(high? * 16 + low?).ok()?;
    Some((byte, rest))
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
