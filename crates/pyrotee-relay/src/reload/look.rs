//! Looks at the configuration file and at the files that it names, on threads of their own: a disk may hang.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_config::{ConfigText, Faults, FileContents, Loader, Reread};
use tokio::time::timeout;

use crate::disk_thread::on_thread;

/// Longest time for one look.
const LONGEST: Duration = Duration::from_secs(5);

/// What one look found.
#[derive(Debug)]
pub(super) struct Look {
    /// The configuration file.
    pub(super) text: Result<ConfigText, Faults>,
    /// The files that the configuration in force names.
    pub(super) files: Reread,
}

impl Look {
    /// Whether another look found the same configuration file.
    pub(super) fn has_text_of(&self, other: &Self) -> bool {
        match (&self.text, &other.text) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => one.to_string() == other.to_string(),
            _ => false,
        }
    }

    /// Whether another look found the same.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.has_text_of(other) && self.files.contents == other.files.contents
    }
}

/// Looks at files.
#[derive(Debug)]
pub(super) struct Looks {
    loader: Arc<Loader>,
    /// The disk did not return what was asked for last.
    hangs: bool,
}

impl Looks {
    pub(super) fn new(loader: Loader) -> Self {
        Self {
            loader: Arc::new(loader),
            hangs: false,
        }
    }

    /// Looks at the configuration file and at `files`, with `text` in force. `None`: the disk does not answer.
    pub(super) async fn look(&mut self, text: &ConfigText, files: &FileContents) -> Option<Look> {
        let (text, files) = (text.clone(), files.clone());
        let look = move |loader: &Loader| Look {
            text: loader.read_again(&text),
            files: files.reread(),
        };
        self.on_disk(look).await
    }

    /// Runs `read`, which reads files. `None`: the disk does not answer; the log says so once.
    pub(super) async fn on_disk<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Loader) -> T + Send + 'static,
    ) -> Option<T> {
        let loader = Arc::clone(&self.loader);
        let reading = on_thread("reload", move || read(&loader));
        let read = timeout(LONGEST, reading).await.ok().and_then(Result::ok);
        if read.is_none() && !self.hangs {
            tracing::warn!(
                "configuration files cannot be read: the disk does not answer, trying again"
            );
        }
        self.hangs = read.is_none();
        read
    }
}
