//! Generates completions for shells and manual pages from the command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  pyrotee completions bash > ~/.local/share/bash-completion/completions/pyrotee
  pyrotee completions zsh > ~/.zfunc/_pyrotee        with ~/.zfunc in fpath
  pyrotee completions fish > ~/.config/fish/completions/pyrotee.fish";

/// Print completions for a shell
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Name of the shell
    shell: Shell,
}

const MAN_EXAMPLES: &str = "\
Example:
  pyrotee man ~/.local/share/man/man1 && man pyrotee-check";

/// Write manual pages, one for each command
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Directory for the pages; it is made if it is missing
    directory: PathBuf,
}

/// Prints the completions of `command`.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> anyhow::Result<()> {
    // The library panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "pyrotee", &mut script);
    io::stdout()
        .write_all(&script)
        .context("failed to write to the output")
}

/// Writes the pages of `command`.
///
/// # Errors
/// The directory cannot be made or written to.
pub(crate) fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<()> {
    let directory = &args.directory;
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.with_context(|| format!("failed to write to {}", directory.display()))
}
