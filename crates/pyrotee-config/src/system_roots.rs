//! The roots of the system, which a process reads once.

use std::sync::OnceLock;

use pyrotee_tls::{SystemRoots, SystemRootsError};

/// The roots of the system, read at the first use: a command that reads one key of a configuration needs none.
#[derive(Debug, Default)]
pub(crate) struct Roots(OnceLock<Result<SystemRoots, SystemRootsError>>);

impl Roots {
    pub(crate) fn get(&self) -> Result<&SystemRoots, &SystemRootsError> {
        self.0.get_or_init(SystemRoots::load).as_ref()
    }
}
