//! `pyrotee spool export`: copies the profiles of a spool to files.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use pyrotee_letters::write_captured;
use pyrotee_queue::{Budget, Record};
use pyrotee_segments::inspect::{Directory, Selection, StoredRecord};
use pyrotee_terminal::{ProgressDisplay, Unit, counted, print, size};

use super::directory::DirectoryArgs;
use super::queues::{check_target, survey};
use super::{exit_code, in_words};

const EXAMPLES: &str = "\
Examples:
  pyrotee spool export --dir /var/lib/pyrotee/spool --out /tmp/profiles
      Writes each pending profile to a file, named by time and number. The
      spool is not changed: the profiles stay pending.

  pyrotee spool export --config pyrotee.yaml --target central --since 2h --out /tmp/profiles
      Only profiles that are pending for one target and were received within
      the last two hours.

  pyrotee spool export --dir /var/lib/pyrotee/spool --quarantined --out /tmp/saved
      Whole profiles of damaged segments that were set aside; most of them
      were delivered before.

  for f in /tmp/profiles/*.http; do pyrotee send --to http://127.0.0.1:4040 --file $f; done
      Sends the exported profiles.

A file is a raw HTTP request, as a target without tags would get it. A relay may
use the spool meanwhile. A profile has the same file name in each export.

Exit codes: 0 all are written, 1 some are damaged or the export failed, 2 the
command line or the configuration is wrong.";

/// Mode of files and of their directory: only for their owner, because profiles name functions of a program.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Extension of a file that is not complete yet.
const PART: &str = "part";

/// Write the pending profiles of a spool to files that `pyrotee send` sends
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Directory for the files; it is made if it is missing
    #[arg(long, value_name = "D")]
    out: PathBuf,

    /// Only profiles that are pending for this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    /// Only profiles received since this time: 2026-11-24T06:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "T", value_parser = parse_time)]
    since: Option<SystemTime>,

    /// Only profiles received before this time
    #[arg(long, value_name = "T", value_parser = parse_time)]
    until: Option<SystemTime>,

    /// Whole profiles of damaged segments that were set aside, instead of pending profiles
    #[arg(long)]
    quarantined: bool,

    /// Write into a directory that is not empty, and replace files of the same name
    #[arg(long)]
    force: bool,
}

/// Profiles and bytes that an export has written, and damaged profiles that it has left out.
#[derive(Default)]
struct ExportCounts {
    profiles: u64,
    bytes: u64,
    damaged: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = args.directory.clone().find()?.dir;
    let survey = survey(&dir)?;
    if let Some(target) = args.target.as_deref().filter(|_| !args.quarantined) {
        check_target(&survey, target)?;
    }
    create_directory(&args.out, args.force)?;
    let (select, total) = match args.quarantined {
        true => (Selection::Quarantined, survey.quarantined_bytes),
        false => (Selection::Pending, survey.bytes),
    };
    let mut counts = ExportCounts::default();
    let exported = args.export(&dir, select, total, &mut counts);
    let summary = counts.summary(&args.out);
    exported.map_err(|error| in_words(error).context(summary.clone()))?;
    print(&format!("{summary}\n"))?;
    Ok(exit_code(counts.damaged == 0))
}

impl Args {
    fn export(
        &self,
        dir: &Path,
        select: Selection,
        total: u64,
        counts: &mut ExportCounts,
    ) -> anyhow::Result<()> {
        let progress = ProgressDisplay::new("export", Unit::Bytes, total);
        let budget = Budget::new(u64::MAX);
        Directory::at(dir).each(select, |stored| {
            progress.add(stored.bytes);
            if !self.wants(&stored) {
                return Ok(());
            }
            match read_record(&stored, &budget)? {
                Some(record) => {
                    write_record(&self.out, &stored, &record)?;
                    counts.profiles += 1;
                    counts.bytes += stored.bytes;
                }
                None => counts.damaged += 1,
            }
            Ok(())
        })
    }

    fn wants(&self, stored: &StoredRecord) -> bool {
        let of_target = |target: &String| stored.targets.contains(target);
        self.target.as_ref().is_none_or(of_target)
            && self.since.is_none_or(|since| stored.received >= since)
            && self.until.is_none_or(|until| stored.received < until)
    }
}

/// Reads a record; `None` if it is damaged.
pub(super) fn read_record(
    stored: &StoredRecord,
    budget: &Arc<Budget>,
) -> anyhow::Result<Option<Arc<Record>>> {
    let record = stored.read(budget);
    record.with_context(|| format!("failed to read {} in {}", stored.number, stored.file))
}

/// Writes a record to a file, which has the extension [`PART`] until it is complete.
fn write_record(out: &Path, stored: &StoredRecord, record: &Record) -> anyhow::Result<()> {
    let path = out.join(file_name(stored));
    let part = path.with_extension(PART);
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE);
        let mut file = BufWriter::new(file.open(&part)?);
        write_captured(record, &mut file)?;
        file.flush()?;
        fs::rename(&part, &path)
    };
    write().map_err(|error| {
        drop(fs::remove_file(&part));
        let next = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                ": make room and run it again with --force, which writes the same files"
            }
            _ => "",
        };
        anyhow!("failed to write {}: {error}{next}", path.display())
    })
}

/// The name of a record's file. Names sort by time, then by number; a record has the same name in each export.
fn file_name(stored: &StoredRecord) -> String {
    let time = humantime::format_rfc3339_millis(stored.received).to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{time}-{:020}.http", stored.number)
}

fn create_directory(out: &Path, force: bool) -> anyhow::Result<()> {
    let shown = out.display();
    let mut builder = DirBuilder::new();
    let builder = builder.recursive(true).mode(DIRECTORY_MODE);
    builder
        .create(out)
        .with_context(|| format!("failed to make {shown}"))?;
    let mut entries = fs::read_dir(out).with_context(|| format!("failed to read {shown}"))?;
    if entries.next().is_some() && !force {
        bail!("{shown} is not empty: give another --out, or --force to write into it");
    }
    Ok(())
}

impl ExportCounts {
    fn summary(&self, out: &Path) -> String {
        let (profiles, bytes) = (counted(self.profiles, "profile"), size(self.bytes));
        let damaged = match self.damaged {
            0 => String::new(),
            damaged => format!("; left out as damaged: {damaged}, see `pyrotee spool verify`"),
        };
        let out = out.display();
        format!("exported {profiles}, {bytes}, to {out}{damaged}")
    }
}

/// Parses a time, or a duration before now.
fn parse_time(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text)
        .map_err(|_| "write 2026-11-24T06:00:00Z, or 2h for two hours ago".to_owned())?;
    let time = SystemTime::now().checked_sub(ago);
    time.ok_or_else(|| "is too long ago".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        assert_eq!(
            parse_time("2026-11-24T06:00:00Z").unwrap(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_500_000)
        );
        let ago = parse_time("2h").unwrap().elapsed().unwrap();
        assert!((7_200..7_300).contains(&ago.as_secs()));
        assert!(parse_time("yesterday").is_err());
    }
}
