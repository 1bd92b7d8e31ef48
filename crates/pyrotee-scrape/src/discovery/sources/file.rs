//! Follows the files of an entry of `file-sd-configs`.

use std::path::PathBuf;
use std::time::Duration;

use pyroscope_wire::scrape::Group;
use pyrotee_queue::{Part, Supervisor, on_thread};
use pyrotee_scrape_config::FileDiscovery;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::Reporter;
use crate::discovery::files::{Files, Look};

/// How often files are looked at. Pyroscope 0.37 is notified of changes; a look costs one call of the system for a file.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Longest time for one look.
const LONGEST: Duration = Duration::from_secs(10);

/// An entry of `file-sd-configs`.
#[derive(Debug)]
pub(in crate::discovery) struct FileSource {
    patterns: Vec<PathBuf>,
    /// How often all files are read, changed or not.
    interval: Duration,
    look_every: Duration,
    supervisor: Supervisor,
    /// A look that has not ended. The thread has the files until then, and there is no second thread.
    looking: Option<oneshot::Receiver<(Files, Seen)>>,
    files: Files,
}

/// What a look found.
#[derive(Debug)]
struct Seen {
    look: Look,
    /// `None`: nothing has changed.
    groups: Option<Vec<Group>>,
}

impl FileSource {
    pub(in crate::discovery) fn new(discovery: &FileDiscovery, supervisor: &Supervisor) -> Self {
        Self {
            patterns: discovery.files.clone(),
            interval: discovery.interval,
            look_every: LOOK_EVERY.min(discovery.interval),
            supervisor: supervisor.clone(),
            looking: None,
            files: Files::default(),
        }
    }

    /// Reports the groups of the files at once, and whenever they change.
    pub(in crate::discovery) async fn follow(mut self, mut reporter: Reporter) {
        let mut read_all = Instant::now();
        loop {
            let reads_all = read_all <= Instant::now();
            if reads_all {
                read_all = Instant::now() + self.interval;
            }
            match self.look(reads_all).await {
                Some(seen) => {
                    let errors = seen.look.errors;
                    let error = (!errors.is_empty()).then(|| errors.join("; "));
                    let (groups, failures) = (seen.groups, seen.look.failures);
                    if groups.is_some() || error != reporter.last_error || failures > 0 {
                        reporter.report(groups, error, failures).await;
                    } else if error.is_none() {
                        reporter.metrics.succeeded(reporter.clock.now());
                    }
                }
                None => {
                    let text = format!("the disk has not returned the files within {LONGEST:?}");
                    reporter.report(None, Some(text), 1).await;
                }
            }
            sleep(self.look_every).await;
        }
    }

    /// Looks at the files on a thread. `None`: this look, or the one before, has not ended in time.
    async fn look(&mut self, reads_all: bool) -> Option<Seen> {
        let mut looking = match self.looking.take() {
            Some(looking) => looking,
            None => self.start_look(reads_all),
        };
        match timeout(LONGEST, &mut looking).await {
            Ok(Ok((files, seen))) => {
                self.files = files;
                Some(seen)
            }
            // The thread did not start or panicked: the next look reads everything.
            Ok(Err(_)) => None,
            Err(_elapsed) => {
                self.looking = Some(looking);
                None
            }
        }
    }

    fn start_look(&mut self, reads_all: bool) -> oneshot::Receiver<(Files, Seen)> {
        let mut files = std::mem::take(&mut self.files);
        let (patterns, supervisor) = (self.patterns.clone(), self.supervisor.clone());
        on_thread("scrape-files", move || {
            let looked = supervisor.catch(Part::Scrape, || {
                let look = files.look(&patterns, reads_all);
                let groups = look.is_changed.then(|| files.groups());
                Seen { look, groups }
            });
            let seen = looked.unwrap_or_else(|panic| Seen {
                look: Look {
                    errors: vec![format!("reading the files panicked: {panic}")],
                    failures: 1,
                    is_changed: false,
                },
                groups: None,
            });
            (files, seen)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pyrotee_queue::WallClock;
    use tokio::sync::mpsc;

    use super::*;
    use crate::discovery::mechanism::Mechanism;
    use crate::discovery::metrics::MechanismMetrics;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_has_one_thread() {
        let discovery = FileDiscovery {
            files: Vec::new(),
            interval: Duration::from_secs(60),
        };
        let mut source = FileSource::new(&discovery, &Supervisor::default());
        let (disk, looking) = oneshot::channel();
        source.looking = Some(looking);
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(source.look(false).await.is_none());
            assert_eq!(begun.elapsed(), LONGEST);
            assert!(source.looking.is_some(), "no other thread has started");
        }
        let seen = Seen {
            look: Look::default(),
            groups: None,
        };
        disk.send((Files::default(), seen)).unwrap();
        assert!(source.look(false).await.is_some());
        assert!(source.looking.is_none());
    }

    #[tokio::test]
    async fn files_are_read_at_once_and_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        fs::write(&path, "- {application: a, targets: [a]}").unwrap();
        let discovery = FileDiscovery {
            files: vec![path.clone()],
            interval: Duration::from_secs(3600),
        };
        let mut source = FileSource::new(&discovery, &Supervisor::default());
        source.look_every = Duration::from_millis(1);
        let (updates, mut received) = mpsc::channel(1);
        let reporter = Reporter {
            job: "shop".into(),
            source: 7,
            updates,
            metrics: MechanismMetrics::new("shop", Mechanism::File),
            clock: WallClock::system(),
            last_error: None,
        };
        let following = tokio::spawn(source.follow(reporter));
        let update = received.recv().await.unwrap();
        assert_eq!((update.source, update.error), (7, None));
        assert_eq!(update.groups.unwrap()[0].application, "a");

        fs::write(&path, "- {application: other, targets: [a]}").unwrap();
        // A look may come between the two writes of a file.
        let applications = async |received: &mut mpsc::Receiver<super::super::Update>| {
            let groups = received.recv().await.unwrap().groups.unwrap_or_default();
            let names = groups.into_iter().map(|it| it.application);
            names.collect::<Vec<_>>()
        };
        while applications(&mut received).await != ["other"] {}
        fs::remove_file(&path).unwrap();
        let update = received.recv().await.unwrap();
        assert_eq!(update.groups, Some(Vec::new()));
        assert!(update.error.unwrap().starts_with("no file is named"));
        following.abort();
    }
}
