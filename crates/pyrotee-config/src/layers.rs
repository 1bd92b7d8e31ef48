//! The layers of a configuration.

/// Names of layers in figment's metadata. The metadata's source is the name of the variable or flag.
pub(crate) const DEFAULT: &str = "default";
pub(crate) const FILE: &str = "file";
pub(crate) const ENVIRONMENT: &str = "environment";
pub(crate) const FLAG: &str = "flag";
