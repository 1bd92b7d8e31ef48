//! The layers of a configuration.

/// Names of layers in figment's metadata; the source beside them is a variable or flag.
pub(super) const DEFAULT: &str = "default";
pub(super) const FILE: &str = "file";
pub(super) const ENVIRONMENT: &str = "environment";
pub(super) const FLAG: &str = "flag";
