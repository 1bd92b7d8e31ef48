//! The section `dead-letters`: where profiles that a target rejected are kept.

use pyrotee_yaml::values;

use super::{directory, spool::at_least};
use crate::{
    reader::Scope,
    settings::{DeadLetters, Spool},
};

/// The least `dead-letters.max-bytes`, in bytes. A letter takes at most half of the limit, and at least two blocks of
/// the disk.
const LEAST_BYTES: u64 = 1024 * 1024;

const EXAMPLE: &str = "/var/lib/pyrotee/dead-letters";

/// Name of the directory of dead letters within the spool's directory.
const WITHIN_SPOOL: &str = "dead-letters";

/// Dead letters, if they have a directory: their own, or one within the spool. The inner `None` keeps none. `spool` is
/// `None` if the section of the spool has a fault.
pub(super) fn dead_letters(
    scope: &Scope<'_>,
    spool: Option<&Option<Spool>>,
) -> Option<Option<DeadLetters>> {
    let max_bytes = scope.parse("max-bytes", |text| {
        let enough = |bytes| at_least(LEAST_BYTES, bytes, "dead letters");
        values::size_or_none(text)?.map(enough).transpose()
    });
    if scope.is_faulty("dir") {
        return None;
    }
    let dir = match scope.text("dir").filter(|dir| !dir.is_empty()) {
        Some(_) => Some(scope.parse("dir", |dir| directory::own(dir, EXAMPLE))?),
        None => None,
    };
    let dir = match (dir, spool?) {
        (Some(dir), Some(spool)) if dir == spool.dir => {
            let inside = dir.join(WITHIN_SPOOL);
            let inside = inside.display();
            scope.fault(
                "dir",
                &format!("is the directory of the spool; write another, such as {inside}"),
            );
            return None;
        }
        (Some(dir), _) => dir,
        (None, Some(spool)) => spool.dir.join(WITHIN_SPOOL),
        (None, None) => {
            if scope.is_set("max-bytes") && max_bytes?.is_some() {
                scope.fault(
                    "dir",
                    &format!(
                        "is missing, and there is no spool; write the directory of the dead letters, such as {EXAMPLE}"
                    ),
                );
                return None;
            }
            return max_bytes.map(|_| None);
        }
    };
    Some(max_bytes?.map(|max_bytes| DeadLetters { dir, max_bytes }))
}
