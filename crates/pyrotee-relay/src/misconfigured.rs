//! A fault of the configuration that only the machine shows on which the relay starts.

use pyrotee_config::Config;

/// A fault of the configuration that is found when the relay starts. Its text has the form of the faults that
/// `pyrotee check` finds.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {key}: {text}\n1 fault in the configuration")]
pub struct Misconfigured {
    key: &'static str,
    text: String,
}

impl Misconfigured {
    /// The fault of a key: `text` says what is wrong, and what to write.
    pub fn new(key: &'static str, text: impl Into<String>) -> Self {
        Self {
            key,
            text: text.into(),
        }
    }

    /// The fault of a section that this build does not know what to do with.
    pub(crate) fn without_jetstream() -> Self {
        Self::new(
            "shared",
            "this pyrotee was built without the feature `jetstream`, and cannot share a backlog; use a build that has it, or \
             remove the section",
        )
    }
}

/// Checks that this build has the parts that a configuration asks for.
///
/// # Errors
/// A section needs a part that was left out of the build.
pub fn check_build(config: &Config) -> Result<(), Misconfigured> {
    match config.shared.is_some() && !cfg!(feature = "jetstream") {
        true => Err(Misconfigured::without_jetstream()),
        false => Ok(()),
    }
}
