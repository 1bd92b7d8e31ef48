//! The section `spool`.

use pyrotee_yaml::values;

use super::directory;
use crate::{
    reader::Scope,
    settings::{FsyncPolicy, Spool},
};

/// Words for `spool.fsync`.
const FSYNC: &[(&str, FsyncPolicy)] = &[
    ("always", FsyncPolicy::Always),
    ("interval", FsyncPolicy::Interval),
    ("never", FsyncPolicy::Never),
];

/// The least `spool.max-bytes`, in bytes, so that a spool has room for two profiles of 1 MB, each in its own segment.
const LEAST_BYTES: u64 = 4 * 1024 * 1024;

impl FsyncPolicy {
    /// The value of the key `fsync`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        values::word_for(self, FSYNC)
    }
}

const EXAMPLE: &str = "/var/lib/pyrotee/spool";

/// The spool; the inner `None` if no key of the section is set. A section without `dir` is a fault.
pub(super) fn spool(scope: &Scope<'_>) -> Option<Option<Spool>> {
    let max_bytes = scope.parse("max-bytes", |text| {
        at_least(LEAST_BYTES, values::size(text)?, "a spool")
    });
    let segment_bytes = scope.parse("segment-bytes", values::size);
    let fsync = scope.parse("fsync", |text| values::word(text, FSYNC));
    let dir = match scope.text("dir").filter(|dir| !dir.is_empty()) {
        Some(_) => scope.parse("dir", |dir| directory::own(dir, EXAMPLE))?,
        None if scope.is_faulty("dir") => return None,
        None => {
            let others = ["max-bytes", "segment-bytes", "fsync"];
            if others.iter().any(|key| scope.is_set(key)) {
                scope.fault(
                    "dir",
                    &format!("is missing; write the directory of the spool, such as {EXAMPLE}"),
                );
                return None;
            }
            return (max_bytes.is_some() && segment_bytes.is_some() && fsync.is_some())
                .then_some(None);
        }
    };
    let (max_bytes, segment_bytes) = (max_bytes?, segment_bytes?);
    if scope.is_set("segment-bytes") && segment_bytes > max_bytes / 4 {
        let most = values::format_size(max_bytes / 4);
        scope.fault(
            "segment-bytes",
            &format!("is more than a quarter of `max-bytes`, and space returns by whole segments; write {most} or less"),
        );
        return None;
    }
    Some(Some(Spool {
        dir,
        max_bytes,
        // The default shrinks with the spool: a sidecar sets one key.
        segment_bytes: segment_bytes.min(max_bytes / 4),
        fsync: fsync?,
    }))
}

/// Refuses a size below `least` for `thing`.
pub(super) fn at_least(least: u64, bytes: u64, thing: &str) -> Result<u64, String> {
    match bytes < least {
        true => Err(format!(
            "is too little for {thing}; write {} or more",
            values::format_size(least)
        )),
        false => Ok(bytes),
    }
}
