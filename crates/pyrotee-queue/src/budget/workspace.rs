//! Workspaces: memory in which a delivery unpacks and packs one body.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Budget;

/// Unit of the size of workspaces, in bytes: one permit. A semaphore hands out at most 2^32 permits at once.
pub(super) const UNIT: u64 = 1024;

/// Memory in which a delivery unpacks and packs one body, from the quarter of the memory limit that only workspaces
/// use. Dropping the workspace returns the memory.
#[derive(Debug)]
pub struct Workspace {
    budget: Arc<Budget>,
    permit: OwnedSemaphorePermit,
}

impl Budget {
    /// The most bytes that one workspace can have.
    pub fn largest_workspace(&self) -> u64 {
        u64::from(self.workspace_units) * UNIT
    }

    /// Bytes of workspaces that are in use.
    pub fn unpacking(&self) -> u64 {
        let free = self.workspaces.available_permits() as u64;
        self.largest_workspace().saturating_sub(free * UNIT)
    }

    /// Waits for a workspace of `bytes`. Callers are served in order of arrival, so that small workspaces do not delay
    /// a large one. A caller that waits must hold no other workspace: then the wait ends once the workspaces in use are
    /// returned. `None`: `bytes` exceeds [`largest_workspace`](Self::largest_workspace).
    pub async fn workspace(self: &Arc<Self>, bytes: u64) -> Option<Workspace> {
        let units = self.units(bytes)?;
        let permit = Arc::clone(&self.workspaces).acquire_many_owned(units).await;
        self.hand_out(permit.ok()?)
    }

    /// A workspace of `bytes`, without waiting. `None`: not enough workspace is free now.
    pub fn try_workspace(self: &Arc<Self>, bytes: u64) -> Option<Workspace> {
        let units = self.units(bytes)?;
        let permit = Arc::clone(&self.workspaces).try_acquire_many_owned(units);
        self.hand_out(permit.ok()?)
    }

    fn hand_out(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Option<Workspace> {
        Some(Workspace {
            budget: Arc::clone(self),
            permit,
        })
    }

    fn units(&self, bytes: u64) -> Option<u32> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Some(units).filter(|units| *units <= self.workspace_units)
    }
}

impl Workspace {
    /// The size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT
    }

    /// Grows the workspace to at least `bytes`, without waiting. `false`: not enough is free now, and nothing changed.
    /// The caller must then return the workspace before it waits for a larger one.
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let missing = bytes.saturating_sub(self.bytes());
        if missing == 0 {
            return true;
        }
        let more = self.budget.try_workspace(missing);
        let grown = more.is_some();
        if let Some(more) = more {
            self.permit.merge(more.permit);
        }
        grown
    }

    /// Returns the part beyond `bytes` to the budget, in whole units.
    pub fn shrink_to(&mut self, bytes: u64) {
        let beyond = self.bytes().saturating_sub(bytes) / UNIT;
        let beyond = usize::try_from(beyond).unwrap_or_default();
        drop(self.permit.split(beyond));
    }
}
