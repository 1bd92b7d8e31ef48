//! Headers that give a body its meaning.

use std::fmt;

/// Most headers that one record keeps.
const MAX_HEADERS: usize = 8;

/// Most bytes of names and values that one record keeps.
const MAX_BYTES: usize = 1_024;

/// Request headers that a target needs in order to interpret the body of a record. `pyroscope-wire` has a
/// closed list of these headers for each surface.
///
/// The list is bounded: 8 headers, and 1 KiB of names and values. Collecting leaves out each header
/// that does not fit. An empty list takes no memory, any other list takes one allocation.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers {
    /// For each header: length of the name and length of the value, both as little-endian `u16`, name, value.
    packed: Box<[u8]>,
}

impl Headers {
    /// The headers, in the order in which they were collected.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let len = |low, high| usize::from(u16::from_le_bytes([low, high]));
        let mut rest = &*self.packed;
        std::iter::from_fn(move || {
            let ([a, b, c, d], after) = rest.split_first_chunk()?;
            let (name, after) = after.split_at_checked(len(*a, *b))?;
            let (value, after) = after.split_at_checked(len(*c, *d))?;
            rest = after;
            Some((str::from_utf8(name).ok()?, value))
        })
    }

    /// The value of the header `name`, which is given in lower case. `None`: there is no such header.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.iter();
        headers
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Bytes of memory that the list takes.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }
}

impl<'h> FromIterator<(&'h str, &'h [u8])> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'h str, &'h [u8])>>(headers: I) -> Self {
        let (mut packed, mut count, mut bytes) = (Vec::new(), 0, 0);
        for (name, value) in headers {
            let len = name.len() + value.len();
            if count == MAX_HEADERS || bytes + len > MAX_BYTES {
                continue;
            }
            count += 1;
            bytes += len;
            for len in [name.len(), value.len()] {
                let len = u16::try_from(len).unwrap_or(u16::MAX);
                packed.extend_from_slice(&len.to_le_bytes());
            }
            packed.extend_from_slice(name.as_bytes());
            packed.extend_from_slice(value);
        }
        Self {
            packed: packed.into_boxed_slice(),
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .iter()
            .map(|(name, value)| (name, value.escape_ascii().to_string()));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_collected_comes_out_in_order() {
        let pairs = [("a-b", &b"2"[..]), ("", b""), ("c", b"\xff\0")];
        let headers: Headers = pairs.into_iter().collect();
        assert!(headers.iter().eq(pairs));
        assert_eq!(headers.get("c"), Some(&b"\xff\0"[..]));
        assert_eq!(headers.get("d"), None);
        assert_eq!(
            format!("{headers:?}"),
            r#"{"a-b": "2", "": "", "c": "\\xff\\x00"}"#
        );
        let none = Headers::default();
        assert!(none.is_empty() && none.iter().next().is_none());
    }

    #[test]
    fn a_header_that_does_not_fit_is_left_out() {
        let long = vec![b'x'; MAX_BYTES - 1];
        let one_more = [("a", &*long), ("b", b"1"), ("", b"")];
        let headers: Headers = one_more.into_iter().collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", ""], "1,024 bytes");
        let headers: Headers = [("a", &*[&long[..], b"y"].concat()), ("b", b"1")]
            .into_iter()
            .collect();
        assert_eq!(headers.get("b"), Some(&b"1"[..]));
        assert_eq!(headers.get("a"), None);
        let many = (0..20).map(|_| ("n", &b"1"[..]));
        assert_eq!(many.collect::<Headers>().iter().count(), MAX_HEADERS);
    }
}
