//! `pyrotee-bench report`: results as Markdown tables and pictures.

mod order;
mod plots;
mod regions;
pub(crate) mod stats;
mod tables;
mod tls;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use crate::run::Results;

/// The arguments of `pyrotee-bench report`.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// Files of results (*.jsonl) of one or more runs; default: the newest in target/bench
    files: Vec<PathBuf>,
    /// A page in which marked regions with results are replaced; pictures are written beside it
    #[arg(long)]
    into: Option<PathBuf>,
}

/// Prints or writes the report.
///
/// # Errors
///
/// If a file cannot be read or written.
#[expect(clippy::print_stdout, reason = "this is its output")]
pub(crate) fn report(settings: &Settings) -> anyhow::Result<()> {
    let results = Results::read(&settings.files)?;
    let regions = tables::regions(&results)?;
    let Some(page) = &settings.into else {
        for (name, text) in regions {
            println!("## {name}\n\n{text}");
        }
        return Ok(());
    };
    let text =
        fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    fs::write(page, regions::replace(&text, &regions)?)?;
    let folder = page.parent().unwrap_or(Path::new("."));
    plots::timeline(&folder.join("performance-hang.svg"), &results)?;
    plots::growth(&folder.join("performance-targets.svg"), &results)
}
