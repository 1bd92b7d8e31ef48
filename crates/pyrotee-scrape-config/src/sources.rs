//! What the values of a configuration refer to.

use pyrotee_tls::{PemFile, SystemRoots};
use secrecy::SecretString;

/// Variables and files that values refer to. An error is the text of a fault, which shows no content.
pub trait Sources {
    /// A scalar with variables and files substituted.
    ///
    /// # Errors
    /// One text for each reference that cannot be substituted.
    fn expand(&self, text: &str) -> Result<Expanded, Vec<String>>;

    /// The content of a file that holds one secret.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    fn file(&self, path: &str) -> Result<SecretString, String>;

    /// The PEM files of a section of TLS, read at one moment: one result for each path.
    fn pem_files(&self, section: &str, paths: &[&str]) -> Vec<Result<PemFile, String>>;

    /// The authorities of the system.
    ///
    /// # Errors
    /// The authorities cannot be read.
    fn system_roots(&self) -> Result<&SystemRoots, String>;
}

/// A scalar in which variables and files are substituted.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "the text may be a secret")]
pub struct Expanded {
    pub text: String,
    /// The variables whose values the text contains.
    pub variables: Vec<String>,
    /// Whether the whole text is a `$NAME`, which 0.37 substituted and pyrotee does not.
    pub is_bare_variable: bool,
}
