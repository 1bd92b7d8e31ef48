//! Errors of the command line that clap cannot detect.

use pyrotee_config::Target;

/// An error of the command line that clap cannot detect, such as a missing or unknown target. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

impl UsageError {
    /// The error for a name that is none of the `known` targets; `place` is what has the targets.
    pub(crate) fn unknown_target<'n>(
        name: &str,
        place: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        Self(match known.is_empty() {
            true => format!("{place} has no target `{name}`, and no other target either"),
            false => format!(
                "{place} has no target `{name}`; there are: {}",
                known.join(", ")
            ),
        })
    }
}

/// The target of this name in a configuration.
///
/// # Errors
/// There is no such target; the text lists the targets.
pub(crate) fn configured_target(targets: Vec<Target>, name: &str) -> Result<Target, UsageError> {
    let names: Vec<_> = targets.iter().map(|it| it.name.clone()).collect();
    let mut found = targets.into_iter().filter(|it| it.name == name);
    found.next().ok_or_else(|| {
        let known = names.iter().map(String::as_str);
        UsageError::unknown_target(name, "the configuration", known)
    })
}
