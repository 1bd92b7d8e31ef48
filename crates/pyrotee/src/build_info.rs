//! Version, revision and compiler of this binary.

/// Version of the release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Revision of the source, or `unknown`.
pub(crate) const REVISION: &str = env!("PYROTEE_REVISION");

/// Output of `rustc --version`; empty if it is unknown.
pub(crate) const RUSTC: &str = env!("PYROTEE_RUSTC");

/// Version and revision, which `--version` prints after the name.
pub(crate) const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PYROTEE_REVISION"),
    ")"
);
