//! Tags of a target, and the paths of its surfaces.

use pyroscope_wire::tags::{TagFaultKind, TagKeys, Tags};
use pyroscope_wire::{Surface, SurfacePaths};
use pyrotee_yaml::values;

use crate::{
    faults::{shown, with_semicolon},
    reader::Scope,
};

/// Words for `tag-keys`.
pub(crate) const TAG_KEYS: &[(&str, TagKeys)] =
    &[("legacy", TagKeys::Legacy), ("utf8", TagKeys::Utf8)];

pub(super) fn tag_keys(target: &Scope<'_>) -> Option<TagKeys> {
    target.parse("tag-keys", |text| values::word(text, TAG_KEYS))
}

/// The paths of the surfaces at the target, where they differ from Pyroscope's.
pub(super) fn paths(target: &Scope<'_>) -> Option<SurfacePaths> {
    if target.is_faulty("paths") {
        return None;
    }
    let scope = target.scope("paths");
    let mut paths = SurfacePaths::default();
    let mut whole = true;
    for name in Surface::NAMES {
        whole &= !scope.is_faulty(name);
        let Some(path) = scope.text(name) else {
            continue;
        };
        if let Err(fault) = paths.set(name, path) {
            scope.fault(name, &fault.to_string());
            whole = false;
        }
    }
    whole.then_some(paths)
}

/// The tags of a target. If `tag-keys` is faulty (`None`), only faults in both grammars are found.
pub(super) fn tags(scope: &Scope<'_>, grammar: Option<TagKeys>) -> Option<Tags> {
    if scope.is_faulty("tags") {
        return None;
    }
    let tags = scope.scope("tags");
    let keys = tags.keys();
    let pairs: Vec<(String, String)> = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), tags.text(key)?.to_owned())))
        .collect();
    let whole = pairs.len() == keys.len();
    match Tags::with_keys(grammar.unwrap_or(TagKeys::Utf8), pairs) {
        Ok(parsed) => whole.then_some(parsed),
        Err(faults) => {
            for fault in faults {
                tags.fault(&fault.key, &tag_fault(&fault.kind));
            }
            None
        }
    }
}

/// The text of a fault of a tag.
fn tag_fault(kind: &TagFaultKind) -> String {
    if let TagFaultKind::SameAs(other) = kind {
        return format!(
            "is sent under the same key as `{}`; keep one of the two",
            shown(other)
        );
    }
    with_semicolon(&kind.to_string())
}
