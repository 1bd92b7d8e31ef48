//! The section `remote-write`, which has every key of Pyroscope 0.37.

use pyrotee_yaml::values;

use super::target::{self, Around};
use crate::{
    reader::Scope,
    settings::{LocalWrites, RemoteWrite},
};

pub(super) fn remote_write(scope: &Scope<'_>, around: &Around) -> Option<RemoteWrite> {
    let enabled = scope.parse("enabled", values::boolean);
    let disabled = scope.parse("disable-local-writes", values::boolean);
    let named = scope.scope("targets");
    let names = named.keys();
    let targets: Vec<_> = names
        .iter()
        .map(|name| target::target(name, &named, around))
        .collect();
    let enabled = enabled?;
    if enabled && names.is_empty() && !scope.is_faulty("targets") {
        let text = "are missing while remote write is enabled; add one, or write `enabled: false`";
        scope.fault("targets", text);
        return None;
    }
    let local_writes = if enabled && disabled? {
        LocalWrites::Discard
    } else {
        LocalWrites::Forward
    };
    Some(RemoteWrite {
        enabled,
        local_writes,
        targets: targets.into_iter().collect::<Option<_>>()?,
    })
}
