//! `pyrotee dead-letters ls|show|replay|purge`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, ensure};
use pyrotee_admin::json::dead_letters::{BatchResult, MOST_LETTERS, PageQuery};
use pyrotee_letters::Id;
use tokio::time::{Instant, sleep};

use super::place::{Place, PlaceArgs, Replayer};
use super::table;
use crate::terminal::{ProgressDisplay, Unit, print, print_json, visible, width};

const HELP: &str = "\
Examples:
  pyrotee dead-letters ls
  pyrotee dead-letters show 20261124T104300.123Z-000042-central
  pyrotee dead-letters replay --all --target central
  pyrotee dead-letters purge --older-than 2d

Each asks the relay on this machine, another one (--admin), or looks into a
directory without a relay (--dir, or --config for the one that a configuration
names). To another machine the admin-token is shown that PYROTEE_ADMIN_TOKEN
holds. docs/dead-letters.md says what is kept, and for how long.";

const LS_HELP: &str = "\
Examples:
  pyrotee dead-letters ls --target central --limit 20
  pyrotee dead-letters ls --dir /var/lib/pyrotee/spool/dead-letters
  pyrotee dead-letters ls --json | jq -r '.letters[] | [.id, .answer] | @tsv'";

const SHOW_HELP: &str = "\
Examples:
  pyrotee dead-letters show 20261124T104300.123Z-000042-central
  pyrotee dead-letters show 20261124T104300.123Z-000042-central --body profile.bin

In the directory the two files of that name say the same: .json what is known of
the refusal, .http the request, which `pyrotee send --file` sends as it is.";

const REPLAY_HELP: &str = "\
Examples:
  pyrotee dead-letters replay --all --target central
      The relay offers them to their target once more, with its tags of today,
      and removes what the queue took. A profile that is refused again becomes
      a new letter.

  pyrotee dead-letters replay 20261124T104300.123Z-000042-central --to archive
      To another target of the relay.

  pyrotee dead-letters replay --all --dir /data/dead --to http://127.0.0.1:4040
      Without a relay: sends each as it was captured, without tags, to a Pyroscope
      or to the listener of a relay, which hands it to all of its targets.

Profiles keep their times; max-age counts from now on. The relay takes letters while
less than half of the target's queue is full, and the command waits for that.

Exit codes: 0 all were taken, 1 some were not, or there was no answer.";

const PURGE_HELP: &str = "\
Examples:
  pyrotee dead-letters purge 20261124T104300.123Z-000042-central
  pyrotee dead-letters purge --older-than 2d --target central
  pyrotee dead-letters purge --all

Exit codes: 0 all are gone, 1 some are not, or there was no answer.";

/// Letters that a relay is asked to replay at once, or to purge.
const AT_ONCE: [usize; 2] = [16, 256];

/// How long a relay is asked again while it has no room …
const PATIENCE: Duration = Duration::from_secs(30);
/// … and the time between.
const AGAIN: Duration = Duration::from_millis(500);

/// Width of a table that no terminal shows.
const WIDTH: usize = 160;

/// Look at profiles that targets rejected, send them again, or remove them
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// List them, the youngest first
    #[command(after_help = LS_HELP)]
    Ls(Ls),
    /// Show what is known of one, and what the request was
    #[command(after_help = SHOW_HELP)]
    Show(Show),
    /// Send them once more
    #[command(after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Remove them
    #[command(after_help = PURGE_HELP)]
    Purge(Purge),
}

#[derive(Debug, Clone, clap::Args)]
struct Ls {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only those of this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MOST_LETTERS as u64))]
    limit: u64,
    /// Print them as one JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct Show {
    #[command(flatten)]
    place: PlaceArgs,
    /// The letter, as `ls` calls it
    id: String,
    /// Write the body of the request to this file
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Print it as one JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct Replay {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    which: Which,
    /// Another target of the relay; without a relay the address to send to, which must be given
    #[arg(long, value_name = "NAME|URL")]
    to: Option<String>,
    /// Without a relay: time for each upload as a whole
    #[arg(long, value_name = "D", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

#[derive(Debug, Clone, clap::Args)]
struct Purge {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    which: Which,
    /// Those that were rejected longer ago, such as 12h or 2d
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration, conflicts_with = "ids")]
    older_than: Option<Duration>,
}

/// Which letters.
#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// Letters, as `ls` calls them
    #[arg(value_name = "ID", conflicts_with_all = ["all", "target"])]
    ids: Vec<String>,
    /// All there are
    #[arg(long)]
    all: bool,
    /// Those of this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Does as told and prints what comes of it.
///
/// # Errors
/// The dead letters cannot be reached, or not all could be done; the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Ls(args) => ls(args).await,
        Command::Show(args) => show(args).await,
        Command::Replay(args) => replay(args).await,
        Command::Purge(args) => purge(args).await,
    }
}

async fn ls(args: Ls) -> anyhow::Result<()> {
    let place = args.place.find(false)?;
    let wanted = PageQuery {
        target: args.target,
        before: None,
        limit: usize::try_from(args.limit).unwrap_or(MOST_LETTERS),
    };
    let (page, json) = place.page(&wanted).await?;
    if args.json {
        return print_json(&json);
    }
    print(&table::page(&page, width(WIDTH)))
}

async fn show(args: Show) -> anyhow::Result<()> {
    let id = args.id.parse::<Id>()?;
    let place = args.place.find(false)?;
    let (shown, json) = place.show(&id).await?;
    if let Some(file) = &args.body {
        let request = place.request(&id).await?;
        let (_, body) = pyrotee_letters::read_captured(&request)
            .with_context(|| format!("the dead letter {id} is damaged"))?;
        std::fs::write(file, body)
            .with_context(|| format!("failed to write {}", file.display()))?;
    }
    match args.json {
        true => print_json(&json),
        false => print(&table::shown(&shown)),
    }
}

async fn replay(args: Replay) -> anyhow::Result<()> {
    let offline = args.place.is_offline();
    let sender = match (&args.to, offline) {
        (Some(url), true) => Some(crate::commands::send::Sender::to(url, args.timeout)?),
        (None, true) => {
            let text = "--to is missing: without a relay it says where to send them, such as http://127.0.0.1:4040";
            return Err(anyhow!(text));
        }
        (_, false) => None,
    };
    let place = args.place.find(true)?;
    let ids = args.which.find(&place, None).await?;
    let replayer = match (place, sender) {
        (Place::Directory(store), Some(sender)) => Replayer::Process { store, sender },
        (Place::Relay(relay), _) => Replayer::Relay { relay, to: args.to },
        (Place::Directory(_), None) => return Err(anyhow!("--to is missing")),
    };
    let total = ids.len();
    let mut report = Report::new("replaying", total);
    let mut waiting = VecDeque::from(ids);
    let mut moved = Instant::now();
    while !waiting.is_empty() {
        // An address gets them one by one: what stops one stops the others.
        let at_once = if offline { 1 } else { AT_ONCE[0] };
        let some: Vec<_> = waiting.drain(..at_once.min(waiting.len())).collect();
        let count = some.len();
        let done = match replayer.replay(some).await {
            Ok(done) => done,
            Err(error) => {
                report.stopped(waiting.len() + count);
                return Err(error);
            }
        };
        if done.left.len() < count {
            moved = Instant::now();
        } else if moved.elapsed() < PATIENCE {
            sleep(AGAIN).await;
        } else {
            report.stopped(waiting.len() + count);
            return Err(anyhow!(
                "the queue had no room for {}: see `pyrotee status`, and try again when the target takes profiles",
                humantime::format_duration(PATIENCE)
            ));
        }
        // Behind the others, which may be for another target.
        waiting.extend(report.note(done));
    }
    report.end("replayed")
}

async fn purge(args: Purge) -> anyhow::Result<()> {
    let place = args.place.find(true)?;
    let before = args.older_than.map(|age| {
        let before = SystemTime::now().checked_sub(age);
        before.unwrap_or(SystemTime::UNIX_EPOCH)
    });
    let mut ids = args.which.find(&place, before).await?;
    let mut report = Report::new("purging", ids.len());
    while !ids.is_empty() {
        let rest = ids.split_off(AT_ONCE[1].min(ids.len()));
        let done = place.purge(std::mem::replace(&mut ids, rest)).await?;
        drop(report.note(done));
    }
    report.end("purged")
}

impl Which {
    /// Their ids, the oldest first.
    async fn find(self, place: &Place, before: Option<SystemTime>) -> anyhow::Result<Vec<String>> {
        if !self.ids.is_empty() {
            // What is none is told before anything is done.
            for id in &self.ids {
                id.parse::<Id>()?;
            }
            return Ok(self.ids);
        }
        ensure!(
            self.all || self.target.is_some() || before.is_some(),
            "which letters? Give their ids, or --all, or what they have in common (--help)"
        );
        let mut found = VecDeque::new();
        let mut wanted = PageQuery {
            target: self.target,
            before: None,
            limit: MOST_LETTERS,
        };
        loop {
            let (page, _) = place.page(&wanted).await?;
            let Some(last) = page.letters.last() else {
                return Ok(found.into());
            };
            wanted.before = Some(last.id.parse::<Id>()?);
            for letter in page.letters {
                let id = letter.id.parse::<Id>()?;
                if before.is_none_or(|before| id.at < before) {
                    found.push_front(letter.id);
                }
            }
        }
    }
}

/// Counts what was done, and tells of it.
struct Report {
    progress: ProgressDisplay,
    total: usize,
    done: usize,
    failed: usize,
}

impl Report {
    fn new(what: &'static str, total: usize) -> Self {
        Self {
            progress: ProgressDisplay::new(what, Unit::Letters, total as u64).with_lines(),
            total,
            done: 0,
            failed: 0,
        }
    }

    /// Takes note; what is left.
    fn note(&mut self, done: BatchResult) -> Vec<String> {
        for failure in &done.failed {
            let (id, error) = (visible(&failure.id), visible(&failure.error));
            self.progress.print_line(&format!("{id}: {error}"));
        }
        self.done += done.done.len();
        self.failed += done.failed.len();
        let ended = done.done.len() + done.failed.len();
        self.progress.add(ended as u64);
        done.left
    }

    /// It ends before its time, with so many left.
    fn stopped(&self, left: usize) {
        let Self { done, failed, .. } = self;
        let line = format!("{done} done, {failed} failed, {left} left as they were");
        self.progress.print_line(&line);
    }

    fn end(self, word: &str) -> anyhow::Result<()> {
        let Self {
            progress,
            total,
            done,
            failed,
        } = self;
        drop(progress);
        print(&format!("{done} of {total} {word}\n"))?;
        ensure!(failed == 0, "{failed} could not be {word}, as said above");
        Ok(())
    }
}
