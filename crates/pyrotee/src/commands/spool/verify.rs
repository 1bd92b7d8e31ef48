//! `pyrotee spool verify`: checks every byte of a spool.

use std::fmt::Write as _;
use std::process::ExitCode;

use pyrotee_segments::inspect::{Directory, Finding, InspectError, VerifyReport};
use pyrotee_terminal::{ProgressDisplay, Unit, counted, print, print_json, size, visible};
use serde_json::json;

use super::directory::DirectoryArgs;
use super::{exit_code, in_words};

const EXAMPLES: &str = "\
Examples:
  pyrotee spool verify --dir /var/lib/pyrotee/spool
      Checks both checksums of every record, the heads of segments and the
      cursors; prints each damage with its file, offset and length, and how
      many profiles of each target cannot be delivered.

  pyrotee spool verify --config pyrotee.yaml --json
      Prints the result as JSON.

Nothing is changed, and no profile is kept in memory as a whole. A spool may be
checked while a relay uses it: a record that is still being written is no damage.

Exit codes: 0 whole, 1 damaged, or the directory is no spool or cannot be read,
2 the command line or the configuration is wrong.";

/// Check every byte of a spool
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let report = verify(&Directory::at(args.directory.find()?.dir));
    let report = report.map_err(|error| in_words(error.into()))?;
    match args.json {
        true => print_json(&json(&report))?,
        false => print(&text(&report))?,
    }
    Ok(exit_code(report.is_whole()))
}

fn verify(directory: &Directory) -> Result<VerifyReport, InspectError> {
    let progress = ProgressDisplay::new("verify", Unit::Bytes, directory.bytes()?);
    directory.verify(progress.adder())
}

fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    for Finding {
        file,
        offset,
        len,
        kind,
    } in &report.findings
    {
        let what = visible(&kind.to_string());
        _ = writeln!(
            text,
            "{}: offset {offset}, {len} bytes: {what}",
            visible(file)
        );
    }
    for (target, undeliverable) in &report.undeliverable {
        let target = visible(target);
        _ = writeln!(
            text,
            "{target}: {} cannot be delivered any more",
            counted(*undeliverable, "profile")
        );
    }
    let records = counted(report.records, "record");
    let segments = counted(report.segments, "segment");
    let bytes = size(report.bytes);
    let damages = report.findings.iter().filter(|it| it.kind.is_damage());
    match damages.count() {
        0 => _ = writeln!(text, "whole: {records} in {segments}, {bytes}"),
        damages => {
            _ = writeln!(
                text,
                "damaged: {}; whole: {records} in {segments}; read: {bytes}",
                counted(damages as u64, "place")
            );
            text.push_str(
                "next: start the relay, which delivers whole profiles, counts the others as `corrupt` and sets damaged\n\
                 segments aside; or export whole profiles with `pyrotee spool export`\n",
            );
        }
    }
    if report.quarantined > 0 {
        let files = counted(report.quarantined, "damaged segment");
        _ = writeln!(
            text,
            "set aside before and not read: {files}, see `pyrotee spool export --quarantined`"
        );
    }
    text
}

fn json(report: &VerifyReport) -> String {
    let finding = |it: &Finding| {
        json!({
            "file": it.file, "offset": it.offset, "length": it.len,
            "what": it.kind.to_string(), "damage": it.kind.is_damage(),
        })
    };
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    let json = json!({
        "whole": report.is_whole(), "in_use": report.in_use, "segments": report.segments,
        "bytes": report.bytes, "records": report.records, "quarantined": report.quarantined,
        "findings": findings, "hurt": report.undeliverable,
    });
    format!("{json}\n")
}
