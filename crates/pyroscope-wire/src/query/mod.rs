//! Raw query strings, read exactly as Go's `url.ParseQuery` reads them.
//!
//! Pyroscope is written in Go, and Go's parser silently drops a pair that has a raw `;` or a malformed
//! percent escape. The usual Rust parsers (the WHATWG form rules) keep such pairs and would read
//! parameters that the server does not read.
//!
//! A query is only edited in place: [`replace`] changes the bytes of single values. The order, the
//! unknown parameters and the spelling of everything else stay as the client sent them.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::mem;
use std::ops::Range;

use memchr::{memchr_iter, memchr2_iter};
use percent_encoding::percent_encode_byte;

use crate::byte_set::ByteSet;

/// The unreserved characters of RFC 3986 §2.3.
static UNRESERVED: ByteSet = ByteSet::alphanumeric_and(b"-._~");

/// The value of one parameter as the client wrote it, and its position in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryValue<'q> {
    raw: &'q str,
    start: usize,
    has_equals: bool,
}

impl<'q> QueryValue<'q> {
    /// The value before decoding.
    pub fn raw(&self) -> &'q str {
        self.raw
    }

    /// The range of the raw value within the query; an empty range behind the key if the pair has no
    /// `=`.
    pub fn span(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The value as a Go server reads it rune by rune: escapes decoded, `+` as a space, and one U+FFFD
    /// for **each** byte that is not UTF-8.
    pub fn decode(&self) -> Cow<'q, str> {
        match unescape(self.raw.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(self.raw),
            Cow::Owned(bytes) => Cow::Owned(runes(bytes)),
        }
    }
}

/// Finds the first pair of each key that `url.ParseQuery` keeps, in one pass over the query.
///
/// Keys are compared after decoding, as the server does: `%6eame=x` sets `name`.
pub fn first<'q, const N: usize>(query: &'q str, keys: [&str; N]) -> [Option<QueryValue<'q>>; N] {
    let mut found = [const { None }; N];
    let mut start = 0;
    for pair in pairs(query.as_bytes()) {
        let (key, decoded) = key(pair);
        let has_equals = key.len() < pair.len();
        let wanted = keys
            .iter()
            .zip(&mut found)
            .find(|(wanted, slot)| slot.is_none() && *decoded == *wanted.as_bytes());
        if let Some((_, slot)) = wanted
            && survives(pair)
        {
            let end = start + pair.len();
            let start = start + key.len() + usize::from(has_equals);
            *slot = Some(QueryValue {
                raw: query.get(start..end).unwrap_or_default(),
                start,
                has_equals,
            });
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        start += pair.len() + 1;
    }
    found
}

/// Writes the query with some values replaced; all other bytes stay unchanged.
///
/// `write` prints the new value as plain text into an encoder, which percent-encodes everything but
/// unreserved characters. The values must come from [`first`] on the same query.
pub fn replace<T, const N: usize>(
    query: &str,
    edits: &[Option<(QueryValue<'_>, T)>; N],
    write: impl Fn(&T, &mut PercentEncoder<'_>) -> fmt::Result,
) -> String {
    let mut edits = edits.each_ref();
    edits.sort_by_key(|edit| edit.as_ref().map(|(value, _)| value.start));

    let mut out = String::with_capacity(query.len() + query.len() / 4 + 64);
    let mut copied = 0;
    for (value, text) in edits.into_iter().flatten() {
        let span = value.span();
        out.push_str(query.get(copied..span.start).unwrap_or_default());
        if !value.has_equals {
            out.push('=');
        }
        let _always_ok = write(text, &mut PercentEncoder(&mut out));
        copied = span.end;
    }
    out.push_str(query.get(copied..).unwrap_or_default());
    out
}

/// Encodes plain text as the value of a query parameter: everything but unreserved characters is
/// percent-encoded.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let _always_ok = PercentEncoder(&mut out).write_str(text);
    out
}

/// Percent-encodes the text written to it, so that a name is encoded part by part without being
/// printed first.
#[derive(Debug)]
pub struct PercentEncoder<'o>(&'o mut String);

impl Write for PercentEncoder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most parts of a name need no escapes.
        if UNRESERVED.first_not_in(text.as_bytes()).is_none() {
            self.0.push_str(text);
        } else {
            text.bytes().for_each(|byte| self.push(byte));
        }
        Ok(())
    }

    /// Encodes one character. Delimiters are written one by one, so this skips the search through a text.
    fn write_char(&mut self, c: char) -> fmt::Result {
        match u8::try_from(c) {
            Ok(byte) if c.is_ascii() => self.push(byte),
            _ => self.write_str(c.encode_utf8(&mut [0; 4]))?,
        }
        Ok(())
    }
}

impl PercentEncoder<'_> {
    fn push(&mut self, byte: u8) {
        if UNRESERVED.contains(byte) {
            self.0.push(char::from(byte));
        } else {
            self.0.push_str(percent_encode_byte(byte));
        }
    }
}

/// The pairs of a query, also empty ones.
fn pairs(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'&', query)
        .chain([query.len()])
        .filter_map(move |end| query.get(mem::replace(&mut start, end + 1)..end))
}

/// The key of a pair as it is written, and decoded. Keys with escapes are allowed, but were never seen.
fn key(pair: &[u8]) -> (&[u8], Cow<'_, [u8]>) {
    static MARKS: ByteSet = ByteSet::of(b"=%+");
    let end = MARKS.first_in(pair).unwrap_or(pair.len());
    let (plain, rest) = pair.split_at(end);
    if let [] | [b'=', ..] = rest {
        return (plain, Cow::Borrowed(plain));
    }
    let escaped = pair.split(|byte| *byte == b'=').next().unwrap_or(pair);
    (escaped, unescape(escaped))
}

/// Whether `url.ParseQuery` keeps this non-empty pair.
fn survives(pair: &[u8]) -> bool {
    memchr2_iter(b'%', b';', pair).all(|at| match pair.get(at..) {
        Some([b'%', rest @ ..]) => escape(rest).is_some(),
        _ => false,
    })
}

/// Decodes escapes. A malformed escape stays as it is, because the server drops its pair anyway.
///
/// Written by hand, because this runs for every profile and `percent_decode` takes 40 instructions per byte.
fn unescape(mut raw: &[u8]) -> Cow<'_, [u8]> {
    static SPECIAL: ByteSet = ByteSet::of(b"%+");
    let Some(mut at) = SPECIAL.first_in(raw) else {
        return Cow::Borrowed(raw);
    };
    let mut bytes = Vec::with_capacity(raw.len());
    while let Some((plain, [special, rest @ ..])) = raw.split_at_checked(at) {
        bytes.extend_from_slice(plain);
        let (byte, behind) = match special {
            b'+' => (b' ', rest),
            _ => escape(rest).unwrap_or((b'%', rest)),
        };
        bytes.push(byte);
        raw = behind;
        at = SPECIAL.first_in(raw).unwrap_or(raw.len());
    }
    bytes.extend_from_slice(raw);
    Cow::Owned(bytes)
}

/// The byte for which two hexadecimal digits stand, and the text after the digits.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    let byte = u8::try_from(high? * 16 + low?).ok()?;
    Some((byte, rest))
}

/// Reads bytes as Go's `for range` over a string does. `from_utf8_lossy` would join the bytes of
/// a truncated sequence into a single replacement character.
fn runes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|fault| {
        let bytes = fault.as_bytes();
        let mut text = String::with_capacity(bytes.len() + 16);
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        text
    })
}

#[cfg(test)]
mod tests;
