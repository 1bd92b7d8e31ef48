//! Version, revision and compiler of this binary.

/// Version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Revision of the source, or `unknown`.
pub const REVISION: &str = env!("PYROTEE_REVISION");

/// Output of `rustc --version`; empty if it is unknown.
pub const RUSTC: &str = env!("PYROTEE_RUSTC");

/// Version and revision, which `--version` prints after the name.
pub const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("PYROTEE_REVISION"),
    ")"
);
