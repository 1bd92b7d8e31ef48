//! Dead letters of a running relay, or in a directory without a relay.

use std::path::PathBuf;

use anyhow::Context;
use bytes::Bytes;
use pyrotee_admin::json::dead_letters::{BatchResult, LetterDetail, LetterPage, PageQuery};
use pyrotee_client::{JsonResponse, RelayClient};
use pyrotee_config::{Flags, Sources};
use pyrotee_letters::{Id, Store};
use serde::Serialize;

use crate::commands::relay::relay_at;
use crate::commands::tls_args::TlsArgs;

/// Where the dead letters are: at a relay, or in a directory.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SourceArgs {
    /// The running relay's `admin`: :PORT, HOST:PORT or https://HOST:PORT; without --admin, --dir and --config
    /// PYROTEE_ADMIN, else `admin` of the configuration (PYROTEE_CONFIG, PYROTEE__ADMIN), else 127.0.0.1:4041
    #[arg(long, value_name = "ADDR", conflicts_with = "dir")]
    admin: Option<String>,

    /// Directory of dead letters, to use without a relay
    #[arg(long, value_name = "D", conflicts_with = "config")]
    dir: Option<PathBuf>,

    /// Configuration that names the directory, to use without a relay; with --admin, configuration that has the
    /// admin-token
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) tls: TlsArgs,
}

/// Reads and removes dead letters.
#[derive(Debug)]
pub(super) enum LetterSource {
    Relay(RelayClient),
    Directory {
        store: Store,
        /// The targets of the configuration that names the directory; empty with `--dir`.
        configured: Vec<String>,
    },
}

impl SourceArgs {
    /// Finds the dead letters. `change`: locks the directory, so that letters can be removed.
    pub(super) fn open(self, change: bool) -> anyhow::Result<LetterSource> {
        let (dir, configured) = match (self.admin, self.dir, self.config) {
            (None, Some(dir), _) => (dir, Vec::new()),
            (None, None, Some(file)) => dir_of(file)?,
            (admin, _, config) => {
                let relay = relay_at(admin.as_deref(), config.as_deref(), &self.tls);
                return relay.map(LetterSource::Relay);
            }
        };
        let store = Store::look(&dir, change)?;
        Ok(LetterSource::Directory { store, configured })
    }

    /// Whether a directory is used and no relay is asked.
    pub(super) fn is_directory(&self) -> bool {
        self.admin.is_none() && (self.dir.is_some() || self.config.is_some())
    }
}

/// The directory of a configuration, and the names of its targets.
fn dir_of(file: PathBuf) -> anyhow::Result<(PathBuf, Vec<String>)> {
    let shown = file.display().to_string();
    let config = pyrotee_config::load(Sources::of_process(Some(file), Flags::default()))?;
    let letters = config.dead_letters;
    let letters = letters.with_context(|| {
        format!(
            "{shown} keeps no dead letters: set dead-letters.dir, or name a directory with --dir"
        )
    })?;
    let targets = config.remote_write.targets.into_iter();
    Ok((letters.dir, targets.map(|target| target.name).collect()))
}

impl LetterSource {
    /// A page of letters.
    pub(super) async fn page(&self, query: &PageQuery) -> anyhow::Result<JsonResponse<LetterPage>> {
        match self {
            Self::Relay(relay) => relay.dead_letters(query).await,
            Self::Directory { store, .. } => json(LetterPage::of(store, query)),
        }
    }

    /// The names of the configured targets; none if only the directory is known.
    pub(super) async fn configured_targets(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Relay(relay) => {
                let targets = relay.status().await?.value.targets.into_iter();
                Ok(targets.map(|target| target.name).collect())
            }
            Self::Directory { configured, .. } => Ok(configured.clone()),
        }
    }

    /// One letter and the head of its request.
    pub(super) async fn detail(&self, id: &Id) -> anyhow::Result<JsonResponse<LetterDetail>> {
        match self {
            Self::Relay(relay) => relay.dead_letter(id).await,
            Self::Directory { store, .. } => json(LetterDetail::of(store, id)?),
        }
    }

    /// The captured request of a letter.
    pub(super) async fn request(&self, id: &Id) -> anyhow::Result<Bytes> {
        match self {
            Self::Relay(relay) => relay.captured_request(id).await,
            Self::Directory { store, .. } => Ok(store.request(id)?),
        }
    }

    /// Removes letters.
    pub(super) async fn purge(&self, ids: Vec<String>) -> anyhow::Result<BatchResult> {
        match self {
            Self::Relay(relay) => relay.purge_dead_letters(ids).await,
            Self::Directory { store, .. } => Ok(BatchResult::purged(store, &ids)),
        }
    }
}

/// The JSON that a relay would respond with.
fn json<T: Serialize>(value: T) -> anyhow::Result<JsonResponse<T>> {
    let json = serde_json::to_string(&value)? + "\n";
    Ok(JsonResponse { json, value })
}
