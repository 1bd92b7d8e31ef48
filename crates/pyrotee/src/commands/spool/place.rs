//! Which spool a command is about: a directory, that of a configuration, or that of a running relay.

use std::path::PathBuf;

use pyrotee_config::{Config, FILE_VARIABLE as CONFIG, Flags, Sources};

/// Where the files are.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Place {
    /// Directory of the spool, `spool.dir` in the configuration
    #[arg(long, value_name = "D", conflicts_with = "config")]
    pub(crate) dir: Option<PathBuf>,

    /// Configuration that names the directory; without --dir, that of PYROTEE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The spool, as far as its files go.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) dir: PathBuf,
    /// What it was found by, if that was a configuration.
    pub(super) config: Option<Config>,
}

/// The command line does not say enough, or too much; clap cannot know. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misused(pub(super) String);

impl Place {
    /// Finds the directory.
    ///
    /// # Errors
    /// Neither is given, the configuration has faults, or it has no spool.
    pub(super) fn find(self) -> anyhow::Result<Found> {
        if let Some(dir) = self.dir {
            return Ok(Found { dir, config: None });
        }
        let file = self
            .config
            .or_else(|| std::env::var_os(CONFIG).map(Into::into));
        let Some(file) = file else {
            return Err(Misused(format!(
                "which spool? Give --dir DIR, or --config FILE (or {CONFIG}) of the relay it belongs to"
            ))
            .into());
        };
        let shown = file.display().to_string();
        let config = pyrotee_config::load(Sources::of_process(Some(file), Flags::default()))?;
        let Some(spool) = &config.spool else {
            return Err(Misused(format!(
                "{shown} has no spool: give the directory with --dir, or a configuration that sets spool.dir"
            ))
            .into());
        };
        Ok(Found {
            dir: spool.dir.clone(),
            config: Some(config),
        })
    }
}
