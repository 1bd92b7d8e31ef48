//! Reads the configuration from YAML, environment and flags into settings that are completely checked.
//!
//! `pyrotee-yaml` reads the file into a small tree with line numbers, `file` checks the tree's shape against
//! `schema` and substitutes variables, figment merges environment and flags over the file's values, and
//! `sections` converts the merged values into typed settings. Every scalar stays text until that last
//! step, so that `tenant-id: 404` is a text and a fault can say where its value was written.
//!
//! [`Loader`] loads a configuration again: `text` is the file at one moment, [`pyrotee_files`] reads the files in `${file:PATH}` and
//! in the sections of TLS, and `difference` names the keys that changed.
//!
//! Faults are collected and returned together, so that a user sees all faults of a configuration at once.
//! A fault's text holds no secret, even if a secret was written under a wrong key; see `reader` for the
//! values that a fault may show.
//!
//! This crate does not open sockets, resolve names or print. It reads the real environment only in
//! [`Sources::of_process`], and for the roots of the system (`SSL_CERT_FILE`) when an address is `https://`.

mod admin;
mod certificates;
mod difference;
mod entries;
mod env;
mod expand;
mod faults;
mod file;
mod job_sources;
mod layers;
mod listen;
mod load;
mod override_warnings;
mod pyroscope;
mod reader;
mod render;
mod rotation;
mod schema;
mod sections;
mod settings;
mod sources;
mod system_roots;
mod text;
mod tls_warnings;
mod warnings;

#[cfg(test)]
mod tests;

/// The environment variable with the path of the configuration file, for every command that reads one.
pub const FILE_VARIABLE: &str = "PYROTEE_CONFIG";

pub use admin::{admin_address, admin_certificate, admin_token};
pub use certificates::{CertificateFile, TlsServer};
pub use difference::{ChangeKind, KeyChange, needs_restart};
pub use faults::{Fault, Faults};
pub use listen::parse as parse_listen;
pub use load::{Loaded, Loader, load};
pub use pyrotee_files::{FileContents, Reread, StaleFile};
pub use pyrotee_scrape_config::Job;
pub use pyrotee_yaml::values::format_size;
pub use rotation::Rotated;
pub use settings::{
    Config, Credentials, DeadLetters, Duplicates, FsyncPolicy, ListenerTls, LocalWrites, Log,
    LogFormat, LogLevel, OnAmbiguous, OnFull, OutgoingTls, Reload, RemoteWrite, Shared, SharedAuth,
    SharedPolicy, SharedServer, Spool, Target, Tee, TeeOn, Upstream,
};
pub use sources::{Flags, Sources};
pub use text::ConfigText;
