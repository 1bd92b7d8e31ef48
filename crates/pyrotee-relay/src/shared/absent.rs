//! What a build without the feature `jetstream` does instead of sharing a backlog: it refuses the configuration.

use std::sync::Arc;

use pyrotee_queue::{Budget, OpenBackend, Supervisor, TargetQueue};

use super::Shared;
use crate::misconfigured::Misconfigured;
use crate::outside::Outside;

/// Opens nothing.
///
/// # Errors
/// Always: this build has no shared backlog.
pub(crate) fn open(
    _shared: &pyrotee_config::Shared,
    _targets: impl Iterator<Item = TargetQueue>,
    _budget: &Arc<Budget>,
    _supervisor: &Supervisor,
    _outside: &Outside,
) -> anyhow::Result<(OpenBackend, Shared)> {
    Err(Misconfigured::without_jetstream().into())
}
