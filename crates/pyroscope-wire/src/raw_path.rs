//! The path of a request as it was sent.

use percent_encoding::percent_decode_str;

/// Whether the last segments of a raw path are `wanted` after their percent escapes are decoded.
///
/// Pyroscope decodes the path before it routes. A malformed escape leaves a `%` in the segment, which
/// no surface has in its path, so such a path matches nothing.
pub(crate) fn last_segments_are(path: &str, wanted: &[&str]) -> bool {
    let mut segments = path.rsplit('/');
    path.starts_with('/')
        && wanted.iter().rev().all(|wanted| {
            let segment = segments.next();
            segment.is_some_and(|segment| percent_decode_str(segment).eq(wanted.bytes()))
        })
}
