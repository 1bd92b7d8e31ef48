//! `pyrotee dead-letters replay`.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use pyrotee_admin::json::dead_letters::BatchResult;
use pyrotee_client::{CapturedRequest, PyroscopeClient, RelayClient, UploadError};
use pyrotee_letters::{Id, Store};
use tokio::time::{Instant, sleep};

use crate::commands::tls_args::TlsArgs;
use pyrotee_terminal::parse_duration;

use super::batch::BatchReport;
use super::selection::SelectionArgs;
use super::source::{LetterSource, SourceArgs};

const EXAMPLES: &str = "\
Examples:
  pyrotee dead-letters replay --all --target central
      The relay offers the letters to their target again, with its current tags
      or those of the relay that received the profile, and removes each letter
      that the queue took. A profile that is rejected again is a new letter.

  pyrotee dead-letters replay 20261124T104300.123Z-000042-central --to archive
      Sends the letter to another target of the relay.

  pyrotee dead-letters replay --all --dir /data/dead --to http://127.0.0.1:4040
      Without a relay: sends each as it was captured, without tags, to a Pyroscope
      or to the listener of a relay, which tees it to all of its targets.

Profiles keep their times; max-age counts from now on. The relay takes letters while
less than half of the target's queue is full; until then the command waits.

Exit codes: 0 all were taken, 1 some were not, or there was no response,
2 the command line or the configuration is wrong.";

/// Letters in one request to a relay.
const BATCH: usize = 16;

/// How long a request to a relay is repeated while the target's queue has no room.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two such requests.
const INTERVAL: Duration = Duration::from_millis(500);

/// Send dead letters again
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Another target of the relay; without a relay the address to send to, which is required
    #[arg(long, value_name = "NAME|URL")]
    to: Option<String>,
    /// Without a relay: timeout of each upload as a whole
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    // Checks the address before the directory is locked.
    let client = match args.source.is_directory() {
        true => Some(client(args.to.as_deref(), args.timeout, &args.source.tls)?),
        false => None,
    };
    let source = args.source.open(true)?;
    let ids = args.selection.find(&source, None).await?;
    let replayer = match (source, client) {
        (LetterSource::Directory { store, .. }, Some(client)) => {
            Replayer::Process { store, client }
        }
        (LetterSource::Relay(relay), _) => Replayer::Relay { relay, to: args.to },
        (LetterSource::Directory { .. }, None) => bail!("--to is missing"),
    };
    let mut report = BatchReport::new("replaying", ids.len());
    replayer.replay_all(ids.into(), &mut report).await?;
    report.end("replayed")
}

fn client(to: Option<&str>, timeout: Duration, tls: &TlsArgs) -> anyhow::Result<PyroscopeClient> {
    let to = to.context(
        "--to is missing: without a relay, give the address to send to, such as http://127.0.0.1:4040",
    )?;
    PyroscopeClient::new(to, timeout, |address| tls.of_address(address))
}

/// Sends dead letters again.
#[derive(Debug)]
enum Replayer {
    /// The relay sends them to one of its targets.
    Relay {
        relay: RelayClient,
        to: Option<String>,
    },
    /// This process sends them to an address.
    Process {
        store: Store,
        client: PyroscopeClient,
    },
}

impl Replayer {
    async fn replay_all(
        &self,
        mut ids: VecDeque<String>,
        report: &mut BatchReport,
    ) -> anyhow::Result<()> {
        // To an address, letters are sent one by one: most errors of one letter end its whole batch.
        let most = match self {
            Self::Relay { .. } => BATCH,
            Self::Process { .. } => 1,
        };
        let mut last_success = Instant::now();
        while !ids.is_empty() {
            let batch: Vec<_> = ids.drain(..most.min(ids.len())).collect();
            let count = batch.len();
            let result = match self.replay(batch).await {
                Ok(result) => result,
                Err(error) => {
                    report.stopped(ids.len() + count);
                    return Err(error);
                }
            };
            if result.left.len() < count {
                last_success = Instant::now();
            } else if last_success.elapsed() < PATIENCE {
                sleep(INTERVAL).await;
            } else {
                report.stopped(ids.len() + count);
                bail!(
                    "the queue had no room for {}: see `pyrotee status`, and try again when the target takes profiles",
                    humantime::format_duration(PATIENCE)
                );
            }
            // Letters that are left go to the end, because the others may be for another target.
            ids.extend(report.add(result));
        }
        Ok(())
    }

    async fn replay(&self, ids: Vec<String>) -> anyhow::Result<BatchResult> {
        match self {
            Self::Relay { relay, to } => relay.replay_dead_letters(ids, to.clone()).await,
            Self::Process { store, client } => {
                let mut result = BatchResult::default();
                for id in &ids {
                    match send(store, client, id).await {
                        Ok(()) => result.note(id, anyhow::Ok(())),
                        Err(UploadError::Rejected(error)) => result.note(id, Err(error)),
                        Err(UploadError::Failed(error)) => return Err(error),
                    }
                }
                Ok(result)
            }
        }
    }
}

/// Sends one letter and removes it. A letter that cannot be sent counts as rejected.
async fn send(store: &Store, client: &PyroscopeClient, id: &str) -> Result<(), UploadError> {
    let unusable = |error: anyhow::Error| UploadError::Rejected(error);
    let id = id.parse::<Id>().map_err(|error| unusable(error.into()))?;
    let request = store.request(&id);
    let request = request.map_err(|error| unusable(error.into()))?;
    pyrotee_letters::read_captured(&request).map_err(|error| {
        unusable(anyhow!(error).context(format!("the dead letter {id} is damaged; purge it")))
    })?;
    let request = CapturedRequest::parse(request).map_err(UploadError::Failed)?;
    client.upload_captured(request).await?;
    store
        .remove(&id)
        .map_err(|error| UploadError::Failed(error.into()))
}
