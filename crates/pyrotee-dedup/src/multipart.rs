//! Splits a multipart body at its delimiters while it streams, so that its hash does not depend on the boundary.

use std::mem;

use memchr::memmem::Finder;

use crate::hasher::Hasher;

/// Longest boundary of a multipart body, in bytes (RFC 2046 §5.1.1). A body with a longer one is hashed
/// like a body that is not multipart.
const MAX_BOUNDARY: usize = 70;

/// Finds the delimiters of a multipart body. The bytes between two delimiters are a section.
///
/// A delimiter is not hashed. In its place the length of the section before it is hashed, so that bodies with different
/// sections never give the same input to the hash.
pub(crate) struct Sections {
    /// Finds the delimiter: the end of a line, two hyphens and the boundary.
    delimiter: Finder<'static>,
    /// The last bytes of the body so far, at most as many as the delimiter has, because a delimiter may
    /// begin among them.
    withheld: Vec<u8>,
    /// Length of the current section in bytes, without `withheld`.
    section: u64,
}

impl Sections {
    pub(crate) fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        let mut withheld = Vec::with_capacity(2 * delimiter.len());
        // The first delimiter is the first line of the body, so no line ends before it.
        withheld.extend_from_slice(b"\r\n");
        Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            withheld,
            section: 0,
        }
    }

    /// Hashes the next bytes of the body, in frames of any size.
    pub(crate) fn push(&mut self, mut data: &[u8], hasher: &mut Hasher) {
        let len = self.delimiter.needle().len();
        let before = self.withheld.len();
        let (near, far) = data.split_at(data.len().min(len));
        let mut window = mem::take(&mut self.withheld);
        window.extend_from_slice(near);
        if let Some(start) = self.find(&window) {
            // The window has the byte after the delimiter, so the delimiter begins before `data`.
            self.end_section(window.split_at(start).0, hasher);
            data = data.split_at(start + len - before).1;
            window.clear();
        } else if far.is_empty() {
            let complete = window.len().saturating_sub(len);
            self.write(window.split_at(complete).0, hasher);
            window.drain(..complete);
            self.withheld = window;
            return;
        } else {
            self.write(window.split_at(before).0, hasher);
            window.clear();
        }
        while let Some(start) = self.find(data) {
            let (section, rest) = data.split_at(start);
            self.end_section(section, hasher);
            data = rest.split_at(len).1;
        }
        let (complete, rest) = data.split_at(data.len().saturating_sub(len));
        self.write(complete, hasher);
        window.extend_from_slice(rest);
        self.withheld = window;
    }

    /// Hashes the withheld bytes at the end of the body.
    pub(crate) fn finish(mut self, hasher: &mut Hasher) {
        let rest = mem::take(&mut self.withheld);
        self.end_section(&rest, hasher);
    }

    /// Returns where the first delimiter starts. The byte after it must be there and must continue a delimiter: a line
    /// that goes on with another byte is content.
    fn find(&self, data: &[u8]) -> Option<usize> {
        let len = self.delimiter.needle().len();
        self.delimiter.find_iter(data).find(|start| {
            matches!(
                data.get(start + len),
                Some(b'\r' | b'\n' | b'-' | b' ' | b'\t')
            )
        })
    }

    fn write(&mut self, data: &[u8], hasher: &mut Hasher) {
        self.section += data.len() as u64;
        hasher.write(data);
    }

    fn end_section(&mut self, end: &[u8], hasher: &mut Hasher) {
        self.write(end, hasher);
        hasher.write(&mem::take(&mut self.section).to_le_bytes());
    }
}

/// Returns the boundary of a multipart body; `None` if the body is not multipart.
pub(crate) fn boundary(content_type: Option<&[u8]>) -> Option<&str> {
    let content_type = std::str::from_utf8(content_type?).ok()?;
    let (kind, parameters) = content_type.split_once(';')?;
    let (kind, _) = kind.trim().split_once('/')?;
    if !kind.eq_ignore_ascii_case("multipart") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_boundary = name.trim().eq_ignore_ascii_case("boundary");
        is_boundary.then(|| value.trim().trim_matches('"'))
    });
    boundary.filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_read_from_the_content_type() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for (content_type, expected) in [
            ("multipart/form-data; boundary=one", Some("one")),
            ("Multipart/Form-Data;Boundary=\"a b\"", Some("a b")),
            (
                "multipart/mixed; charset=utf-8; boundary=one ; x=y",
                Some("one"),
            ),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data", None),
            ("multipart/form-data; charset=utf-8", None),
            ("application/octet-stream; boundary=one", None),
            ("text/plain", None),
            (&long, None),
        ] {
            assert_eq!(
                boundary(Some(content_type.as_bytes())),
                expected,
                "{content_type}"
            );
        }
        assert_eq!(boundary(None), None);
        assert_eq!(boundary(Some(b"multipart/form-data; boundary=\xff")), None);
    }
}
