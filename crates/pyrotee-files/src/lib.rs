//! Reads the files that a configuration names, and looks at them again while the relay runs.
//!
//! [`Files`] are the files of one load of a configuration: each is read once, at one moment with the others of its unit. They become
//! [`FileContents`], which [`FileContents::reread`] compares with the disk later: a file that cannot be used any more keeps
//! its last good content. [`disk`] reads a file whole, up to a limit, and never waits for a pipe.
//!
//! This crate knows neither keys nor YAML. Contents count as secrets: no text and no `Debug` shows any of them.

pub mod disk;
mod files;
mod named_file;

pub use files::{FileContents, Files, Reread, StaleFile};
pub use named_file::NamedFile;
