//! What this binary is.

/// Version of the release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Revision of the source, or `unknown`.
pub(crate) const REVISION: &str = env!("PYROTEE_REVISION");

/// Compiler.
pub(crate) const RUSTC: &str = env!("PYROTEE_RUSTC");

/// What `--version` prints after the name.
pub(crate) const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PYROTEE_REVISION"),
    ")"
);
