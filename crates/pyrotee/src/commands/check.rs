//! `pyrotee check`: prints the effective configuration and its warnings, without secrets.

use pyrotee_config::Config;

use crate::terminal::{print, print_error};

pub(crate) const EXAMPLES: &str = "\
Example:
  pyrotee check --config pyrotee.yaml > /dev/null && kubectl rollout restart …

Exit codes: 0 valid, 2 invalid (every fault is on stderr, with file, line, key and remedy).";

/// Prints a configuration. It is valid, because loading it has succeeded.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    for warning in config.warnings() {
        print_error(&format!("warning: {warning}"));
    }
    print(&config.to_yaml())
}
