//! What the block `scrape-configs` refers to: the variables and files of a load.

use std::collections::HashMap;

use pyrotee_files::Files;
use pyrotee_scrape_config::{Expanded, Sources};
use pyrotee_tls::{PemFile, SystemRoots};
use secrecy::SecretString;

use crate::{
    expand::{self, Dollars},
    system_roots::Roots,
};

/// The variables and files of one load.
pub(crate) struct JobSources<'a> {
    pub(crate) variables: &'a HashMap<String, String>,
    pub(crate) files: &'a Files<'a>,
    pub(crate) roots: &'a Roots,
}

impl Sources for JobSources<'_> {
    fn expand(&self, text: &str) -> Result<Expanded, Vec<String>> {
        let lookup = |name: &str| self.variables.get(name).cloned();
        let file = |path: &str| self.files.content(path);
        let expanded = expand::expand(text, Dollars::Kept, lookup, file)?;
        let is_bare_variable = expand::is_bare_variable(text);
        let (text, variables) = match expanded {
            Some(expanded) => (expanded.text, expanded.variables),
            None => (text.to_owned(), Vec::new()),
        };
        Ok(Expanded {
            text,
            variables,
            is_bare_variable,
        })
    }

    fn file(&self, path: &str) -> Result<SecretString, String> {
        self.files.content(path)
    }

    fn pem_files(&self, section: &str, paths: &[&str]) -> Vec<Result<PemFile, String>> {
        self.files.pem_files(section, paths)
    }

    fn system_roots(&self) -> Result<&SystemRoots, String> {
        self.roots.get().map_err(ToString::to_string)
    }
}
