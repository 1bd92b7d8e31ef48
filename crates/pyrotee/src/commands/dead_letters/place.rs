//! Where a command finds the dead letters: at a running relay, or in a directory without one.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use pyrotee_admin::json::dead_letters::{
    BatchRequest, BatchResult, LetterDetail, LetterPage, PATH, PURGE, PageQuery, REPLAY,
};
use pyrotee_config::{Flags, Sources};
use pyrotee_letters::{Id, Store};

use crate::client::admin::{ADMIN, LOCAL, Relay};
use crate::commands::send::{Sender, refuses_profile};

/// Which dead letters are meant.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlaceArgs {
    /// The running relay's `admin`: :PORT, HOST:PORT or http://HOST:PORT; without any of the three that of
    /// PYROTEE_ADMIN, or 127.0.0.1:4041
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["dir", "config"])]
    admin: Option<String>,

    /// Directory of dead letters, without a relay
    #[arg(long, value_name = "D", conflicts_with = "config")]
    dir: Option<PathBuf>,

    /// Configuration that names the directory, without a relay
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Dead letters that can be asked.
#[derive(Debug)]
pub(super) enum Place {
    Relay(Relay),
    Directory(Store),
}

impl PlaceArgs {
    /// Finds them. `change`: something is going to be changed.
    pub(super) fn find(self, change: bool) -> anyhow::Result<Place> {
        let dir = match (self.dir, self.config) {
            (Some(dir), _) => dir,
            (None, Some(file)) => dir_of(file)?,
            (None, None) => {
                let admin = self.admin.or_else(|| std::env::var(ADMIN).ok());
                let admin = admin.unwrap_or_else(|| LOCAL.to_owned());
                return Relay::at(&admin).map(Place::Relay);
            }
        };
        Ok(Place::Directory(Store::look(&dir, change)?))
    }

    /// Whether no relay is asked.
    pub(super) fn is_offline(&self) -> bool {
        self.dir.is_some() || self.config.is_some()
    }
}

fn dir_of(file: PathBuf) -> anyhow::Result<PathBuf> {
    let shown = file.display().to_string();
    let config = pyrotee_config::load(Sources::of_process(Some(file), Flags::default()))?;
    let letters = config.dead_letters;
    let letters = letters.with_context(|| {
        format!(
            "{shown} keeps no dead letters: set dead-letters.dir, or name a directory with --dir"
        )
    })?;
    Ok(letters.dir)
}

impl Place {
    /// A page of letters, and the JSON of it.
    pub(super) async fn page(&self, wanted: &PageQuery) -> anyhow::Result<(LetterPage, String)> {
        match self {
            Self::Relay(relay) => {
                let mut path = format!("{PATH}?limit={}", wanted.limit);
                for (key, value) in [
                    ("target", wanted.target.clone()),
                    ("before", wanted.before.as_ref().map(Id::to_string)),
                ] {
                    if let Some(value) = value {
                        let value = pyroscope_wire::query::encode(&value);
                        path.push_str(&format!("&{key}={value}"));
                    }
                }
                let answer = relay.get::<LetterPage>(&path).await?;
                Ok((answer.value, answer.json))
            }
            Self::Directory(store) => {
                let page = LetterPage::of(store, wanted);
                let json = serde_json::to_string(&page)?;
                Ok((page, json + "\n"))
            }
        }
    }

    /// What is known of one, and the JSON of it.
    pub(super) async fn show(&self, id: &Id) -> anyhow::Result<(LetterDetail, String)> {
        match self {
            Self::Relay(relay) => {
                let answer = relay.get::<LetterDetail>(&format!("{PATH}/{id}")).await?;
                Ok((answer.value, answer.json))
            }
            Self::Directory(store) => {
                let shown = LetterDetail::of(store, id)?;
                let json = serde_json::to_string(&shown)?;
                Ok((shown, json + "\n"))
            }
        }
    }

    /// The captured request of one.
    pub(super) async fn request(&self, id: &Id) -> anyhow::Result<Bytes> {
        match self {
            Self::Relay(relay) => relay.fetch(&format!("{PATH}/{id}/request")).await,
            Self::Directory(store) => Ok(store.request(id)?),
        }
    }

    /// Removes letters.
    pub(super) async fn purge(&self, ids: Vec<String>) -> anyhow::Result<BatchResult> {
        match self {
            Self::Relay(relay) => order(relay, PURGE, ids, None).await,
            Self::Directory(store) => Ok(BatchResult::purged(store, &ids)),
        }
    }
}

/// Has a relay do something.
async fn order(
    relay: &Relay,
    path: &str,
    ids: Vec<String>,
    to: Option<String>,
) -> anyhow::Result<BatchResult> {
    let json = serde_json::to_vec(&BatchRequest { ids, to })?;
    Ok(relay.post::<BatchResult>(path, json).await?.value)
}

/// Who sends letters once more.
#[derive(Debug)]
pub(super) enum Replayer {
    /// The relay, to a target of its own.
    Relay { relay: Relay, to: Option<String> },
    /// This process, to an address.
    Process { store: Store, sender: Sender },
}

impl Replayer {
    pub(super) async fn replay(&self, ids: Vec<String>) -> anyhow::Result<BatchResult> {
        match self {
            Self::Relay { relay, to } => order(relay, REPLAY, ids, to.clone()).await,
            Self::Process { store, sender } => {
                let mut done = BatchResult::default();
                for id in &ids {
                    match send(store, sender, id).await? {
                        None => done.note(id, anyhow::Ok(())),
                        Some(error) => done.note(id, Err(error)),
                    }
                }
                Ok(done)
            }
        }
    }
}

/// Sends one letter; what is wrong with it, if anything. An error is one that the next letter would meet.
async fn send(store: &Store, sender: &Sender, id: &str) -> anyhow::Result<Option<anyhow::Error>> {
    let id = match id.parse::<Id>() {
        Ok(id) => id,
        Err(error) => return Ok(Some(error.into())),
    };
    let request = match store.request(&id) {
        Ok(request) => request,
        Err(error) => return Ok(Some(error.into())),
    };
    if let Err(error) = pyrotee_letters::read_captured(&request) {
        let damaged = anyhow!(error).context(format!("the dead letter {id} is damaged; purge it"));
        return Ok(Some(damaged));
    }
    let replied = sender.replay(request).await?;
    match replied.status {
        status if status.is_success() => {
            store.remove(&id)?;
            Ok(None)
        }
        // It is the profile that is refused, once more.
        status if refuses_profile(status) => Ok(Some(replied.refusal)),
        _ => Err(replied.refusal),
    }
}
