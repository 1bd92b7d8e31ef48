//! What a surface's own module tells of it, for the table in [`crate::surface`].

use percent_encoding::percent_decode_str;

/// What there is to know about a surface.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    pub(crate) canonical_path: &'static str,
    /// Is a `POST` to this raw path meant for the surface?
    pub(crate) recognise: fn(&str) -> bool,
}

/// Whether the last segments of a raw path read `wanted` once their percent escapes are undone.
///
/// Pyroscope decodes the path before it routes. A malformed escape leaves a `%` behind, which no
/// surface has in its name, so such a path matches nothing.
pub(crate) fn last_segments_are(path: &str, wanted: &[&str]) -> bool {
    let mut segments = path.rsplit('/');
    path.starts_with('/')
        && wanted.iter().rev().all(|wanted| {
            let segment = segments.next();
            segment.is_some_and(|segment| percent_decode_str(segment).eq(wanted.bytes()))
        })
}
