//! The text of the configuration file, as it was read at one moment.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use pyrotee_files::disk;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use crate::faults::{Fault, Faults, Origin};

/// Limit of the file, in bytes. Configurations are written by hand; a larger file is probably a wrong one.
const MAX_BYTES: u64 = 1024 * 1024;

/// Limit of the time until a pipe or the standard input ends, so that a program that never writes does not stop a start
/// without a word. Long enough for a program that asks a person for a passphrase.
const PIPE_TIMEOUT: Duration = Duration::from_secs(60);

/// The text of the configuration file, which may hold secrets. Two texts are compared by the SHA-256 of their bytes.
#[derive(Clone)]
pub struct ConfigText {
    pub(crate) text: SecretString,
    digest: [u8; 32],
}

/// Reads a configuration file again, beside the text in force. [`Loader::read_again`](crate::Loader::read_again) says more.
pub(crate) fn read_again(path: &Path, in_force: &ConfigText) -> Result<ConfigText, Faults> {
    if disk::is_read_once(path) {
        return Ok(in_force.clone());
    }
    let text = read(path)?;
    if text.is_blank() && !in_force.is_blank() {
        let empty = "has become empty; write the configuration, or restart to run without one";
        return Err(fault(path, None, empty.to_owned()));
    }
    Ok(text)
}

impl ConfigText {
    pub(crate) fn new(text: String) -> Self {
        let digest = Sha256::digest(&text).into();
        let text = SecretString::from(text);
        Self { text, digest }
    }

    fn is_blank(&self) -> bool {
        self.text.expose_secret().trim().is_empty()
    }
}

impl PartialEq for ConfigText {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for ConfigText {}

impl fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigText").finish_non_exhaustive()
    }
}

/// Reads a configuration file, through symlinks; `-` is the standard input.
pub(crate) fn read(path: &Path) -> Result<ConfigText, Faults> {
    let bytes = match disk::read_any(path, MAX_BYTES, PIPE_TIMEOUT) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let text = "is larger than 1 MiB; is it the right file?";
            return Err(fault(path, None, text.to_owned()));
        }
        Err(error) => {
            let text = format!("cannot be read ({error}); check path and permissions");
            return Err(fault(path, None, text));
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to());
        let line = 1 + valid.filter(|byte| **byte == b'\n').count();
        fault(
            path,
            Some(line),
            "is not UTF-8; save it as UTF-8".to_owned(),
        )
    })?;
    Ok(ConfigText::new(text))
}

/// A fault of the file as a whole.
pub(crate) fn fault(path: &Path, line: Option<usize>, text: String) -> Faults {
    Faults::new(vec![Fault {
        origin: Origin::File(name(path), line),
        key: String::new(),
        text,
    }])
}

/// The configuration file as faults name it.
pub(crate) fn name(path: &Path) -> Arc<str> {
    match disk::is_stdin(path) {
        true => "stdin".into(),
        false => path.display().to_string().into(),
    }
}
