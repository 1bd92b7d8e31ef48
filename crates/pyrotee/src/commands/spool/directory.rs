//! Finds the directory of the spool for a command: `--dir`, or `spool.dir` of a configuration.

use std::path::PathBuf;

use pyrotee_config::{Config, FILE_VARIABLE as CONFIG, Flags, Sources};

use crate::commands::UsageError;

/// Options that name the directory of a spool.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DirectoryArgs {
    /// Directory of the spool, `spool.dir` in the configuration
    #[arg(long, value_name = "D", conflicts_with = "config")]
    dir: Option<PathBuf>,

    /// Configuration that names the directory, or with --admin the relay; without --dir and --config, the file in
    /// PYROTEE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// The directory of a spool.
#[derive(Debug)]
pub(super) struct SpoolDirectory {
    pub(super) dir: PathBuf,
    /// The configuration that names the directory; `None` with `--dir`.
    pub(super) config: Option<Config>,
}

impl DirectoryArgs {
    /// Finds the directory.
    ///
    /// # Errors
    /// Neither option is given, the configuration has faults, or it has no spool.
    pub(super) fn find(self) -> anyhow::Result<SpoolDirectory> {
        if let Some(dir) = self.dir {
            return Ok(SpoolDirectory { dir, config: None });
        }
        let file = self
            .config
            .or_else(|| std::env::var_os(CONFIG).map(Into::into));
        let Some(file) = file else {
            return Err(UsageError(format!(
                "no spool is named: give --dir DIR, or --config FILE (or {CONFIG}) of the relay that uses it"
            ))
            .into());
        };
        let shown = file.display().to_string();
        let config = pyrotee_config::load(Sources::of_process(Some(file), Flags::default()))?;
        let Some(spool) = &config.spool else {
            return Err(UsageError(format!(
                "{shown} has no spool: give the directory with --dir, or a configuration that sets spool.dir"
            ))
            .into());
        };
        Ok(SpoolDirectory {
            dir: spool.dir.clone(),
            config: Some(config),
        })
    }
}
