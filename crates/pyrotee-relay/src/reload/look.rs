//! Looks at the configuration file and at the files that it names, on threads of their own: a disk may hang.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_config::{ConfigText, Faults, FileContents, Loader, Reread};
use pyrotee_queue::{Part, Supervisor, on_thread};
use tokio::sync::Semaphore;
use tokio::time::timeout;

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
    /// Counts panics of the threads.
    supervisor: Supervisor,
    /// One thread at a time: on a disk that hangs for ever, each further thread would hang as well.
    permit: Arc<Semaphore>,
    /// The last read was not finished in time.
    hangs: bool,
}

impl Looks {
    pub(super) fn new(loader: Loader, supervisor: Supervisor) -> Self {
        Self {
            loader: Arc::new(loader),
            supervisor,
            permit: Arc::new(Semaphore::new(1)),
            hangs: false,
        }
    }

    /// Looks at the configuration file and at `files`, with `text` in force. `None`: as [`Looks::on_disk`].
    pub(super) async fn look(&mut self, text: &ConfigText, files: &FileContents) -> Option<Look> {
        let (text, files) = (text.clone(), files.clone());
        let look = move |loader: &Loader| Look {
            text: loader.read_again(&text),
            files: files.reread(),
        };
        self.on_disk(look).await
    }

    /// Runs `read`, which reads files. `None`: the disk did not return them in time, or has not returned the files of an
    /// earlier call yet; the log has a line for the first of such calls.
    pub(super) async fn on_disk<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Loader) -> T + Send + 'static,
    ) -> Option<T> {
        let (loader, supervisor) = (Arc::clone(&self.loader), self.supervisor.clone());
        let in_time = async {
            let permit = Arc::clone(&self.permit).try_acquire_owned().ok()?;
            let reading = on_thread(Part::Reload.as_str(), move || {
                let _until_it_is_read = permit;
                supervisor.catch(Part::Reload, || read(&loader)).ok()
            });
            timeout(LONGEST, reading).await.ok()?.ok()?
        };
        let read = in_time.await;
        if read.is_none() && !self.hangs {
            tracing::warn!("configuration files were not read in time, trying again");
        }
        self.hangs = read.is_none();
        read
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use pyrotee_config::Sources;
    use tokio::time::resume;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_holds_one_thread_and_is_read_again_when_it_answers() {
        let mut looks = Looks::new(Loader::new(Sources::default()), Supervisor::default());
        let (answers, disk) = mpsc::channel::<u8>();
        assert_eq!(looks.on_disk(move |_| disk.recv()).await, None);
        for _ in 0..3 {
            let started = looks.on_disk(|_| unreachable!("no thread beside the one that hangs"));
            assert_eq!(started.await, None::<u8>);
        }
        // Threads need time that passes.
        resume();
        answers.send(7).unwrap();
        drop(looks.permit.acquire().await.unwrap());
        assert_eq!(looks.on_disk(|_| 8).await, Some(8));
    }

    #[tokio::test]
    async fn a_panic_while_files_are_read_is_counted_and_the_next_read_works() {
        let supervisor = Supervisor::default();
        let mut looks = Looks::new(Loader::new(Sources::default()), supervisor.clone());
        assert_eq!(looks.on_disk::<u8>(|_| panic!("a bug")).await, None);
        assert_eq!(supervisor.panics(Part::Reload), 1);
        assert_eq!(looks.on_disk(|_| 8).await, Some(8));
    }
}
