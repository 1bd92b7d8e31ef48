//! A simulated directory in memory. It fails on demand, and loses unsynced bytes at a power loss.

mod directory;
mod file;
mod gate;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyrotee_queue::lock;
use pyrotee_segments::testing::is_segment;
use pyrotee_segments::{File, Space, Storage};

use gate::Gate;
pub(super) use process::Process;

type Files = BTreeMap<String, Arc<Data>>;

#[derive(Debug, Default)]
pub(super) struct Sim {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Holds up reads.
    reads: Gate,
    /// Holds up syncs.
    syncs: Gate,
}

#[derive(Debug, Default)]
struct State {
    files: Files,
    /// The files when their names were last synced.
    durable: Files,
    /// Changes so far, those that failed included.
    changes: u64,
    trouble: Option<Trouble>,
    space: Option<Space>,
    /// Files that can be neither opened nor read.
    unreadable: BTreeSet<String>,
    /// Files that can be neither removed, renamed nor truncated.
    stuck: BTreeSet<String>,
    /// Bytes that were read so far.
    read: u64,
    /// Bytes of files that cannot be read.
    bad_bytes: Vec<(String, Range<u64>)>,
    /// Bytes of files at which a read panics.
    cursed_bytes: Vec<(String, Range<u64>)>,
    /// When all files were last written to; `None`: now.
    modified: Option<SystemTime>,
    /// Why the directory cannot be locked.
    prepare_error: Option<io::ErrorKind>,
    /// Why the directory cannot be listed.
    list_error: Option<io::ErrorKind>,
    /// A spool has locked the directory.
    is_locked: bool,
    /// Most files that can be open at once.
    most_open: Option<usize>,
    /// Files that are open, and the most that ever were.
    open: usize,
    highest_open: usize,
}

impl State {
    fn check_stuck(&self, name: &str) -> io::Result<()> {
        match self.stuck.contains(name) {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }
}

/// The changes of the disk that fail.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The change with this number is half done, and this and all later changes fail.
    From(u64),
    /// The change with the first number is half done, and all changes before the second number fail.
    Between(u64, u64),
    /// All changes fail, because the disk is full.
    Full,
    /// From the change with the number `from` on, `times` changes panic.
    Panics { from: u64, times: u64 },
}

#[derive(Debug, Default)]
struct Data(Mutex<Content>);

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug)]
struct Handle {
    name: String,
    data: Arc<Data>,
    inner: Arc<Inner>,
}

/// How much of a change is done.
enum Done {
    All,
    Half(io::Error),
}

impl Inner {
    fn change(&self) -> Done {
        let mut state = lock(&self.state);
        let number = state.changes;
        state.changes += 1;
        match state.trouble {
            Some(Trouble::From(from)) if number == from => Done::Half(failure()),
            Some(Trouble::From(from)) if number > from => Done::Half(io::ErrorKind::Other.into()),
            Some(Trouble::Between(from, to)) if (from..to).contains(&number) => {
                Done::Half(if number == from {
                    failure()
                } else {
                    io::ErrorKind::Other.into()
                })
            }
            Some(Trouble::Panics { from, times }) if (from..from + times).contains(&number) => {
                drop(state);
                panic!("the code at change {number} broke");
            }
            Some(Trouble::Full) => Done::Half(io::ErrorKind::StorageFull.into()),
            _ => Done::All,
        }
    }

    /// Makes a change that is done as a whole or not at all.
    fn whole(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        match self.change() {
            Done::All => change(&mut lock(&self.state)),
            Done::Half(error) => Err(error),
        }
    }
}

fn unreadable() -> io::Error {
    io::Error::other("the disk does not give it")
}

fn failure() -> io::Error {
    io::Error::other("half of it")
}

/// Whether this is the error of the one change in a failing series that is half done.
fn is_half(error: &io::Error) -> bool {
    error.to_string() == "half of it"
}

impl Sim {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn fail(&self, trouble: Option<Trouble>) {
        lock(&self.inner.state).trouble = trouble;
    }

    pub(super) fn changes(&self) -> u64 {
        lock(&self.inner.state).changes
    }

    pub(super) fn set_space(&self, space: Space) {
        lock(&self.inner.state).space = Some(space);
    }

    /// The directory that a process finds if it starts after this one was killed.
    pub(super) fn after_kill(&self) -> Arc<Self> {
        let state = lock(&self.inner.state);
        Self::of(&state.files, |content| content.bytes.clone())
    }

    /// The directory that a process finds if it starts after a power loss.
    pub(super) fn after_power_loss(&self) -> Arc<Self> {
        let state = lock(&self.inner.state);
        Self::of(&state.durable, |content| content.synced.clone())
    }

    fn of(files: &Files, keep: impl Fn(&Content) -> Vec<u8>) -> Arc<Self> {
        let copy = |(name, data): (&String, &Arc<Data>)| {
            let bytes = keep(&lock(&data.0));
            let synced = bytes.clone();
            let content = Mutex::new(Content { bytes, synced });
            (name.clone(), Arc::new(Data(content)))
        };
        let files: Files = files.iter().map(copy).collect();
        let sim = Self::default();
        let mut state = lock(&sim.inner.state);
        state.durable.clone_from(&files);
        state.files = files;
        drop(state);
        Arc::new(sim)
    }

    pub(super) fn names(&self) -> Vec<String> {
        lock(&self.inner.state).files.keys().cloned().collect()
    }

    pub(super) fn segments(&self) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| is_segment(name));
        names
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.list().unwrap().into_iter();
        let segments = files.filter(|(name, _)| is_segment(name));
        segments.map(|(_, len)| len).sum()
    }

    /// Changes a file behind the spool's back.
    pub(super) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = lock(&self.inner.state);
        let data = Arc::clone(state.files.entry(name.to_owned()).or_default());
        change(&mut lock(&data.0).bytes);
    }

    /// From now on a file cannot be opened or read.
    pub(super) fn spoil(&self, name: &str) {
        lock(&self.inner.state).unreadable.insert(name.to_owned());
    }

    /// From now on these bytes of a file cannot be read.
    pub(super) fn spoil_bytes(&self, name: &str, bytes: Range<u64>) {
        lock(&self.inner.state)
            .bad_bytes
            .push((name.to_owned(), bytes));
    }

    /// From now on reading these bytes of a file panics.
    pub(super) fn curse(&self, name: &str, bytes: Range<u64>) {
        let mut state = lock(&self.inner.state);
        state.cursed_bytes.push((name.to_owned(), bytes));
    }

    /// From now on a file can be neither removed, renamed nor truncated.
    pub(super) fn stick(&self, name: &str) {
        lock(&self.inner.state).stuck.insert(name.to_owned());
    }

    /// Bytes that were read so far.
    pub(super) fn read(&self) -> u64 {
        lock(&self.inner.state).read
    }

    /// From now on all files can be read, removed, renamed and truncated.
    pub(super) fn heal(&self) {
        let mut state = lock(&self.inner.state);
        state.unreadable.clear();
        state.stuck.clear();
        state.bad_bytes.clear();
        state.cursed_bytes.clear();
    }

    /// Sets the time at which all files were last written to.
    pub(super) fn set_modified(&self, modified: SystemTime) {
        lock(&self.inner.state).modified = Some(modified);
    }

    /// Removes a file behind the spool's back.
    pub(super) fn take_away(&self, name: &str) {
        assert!(
            lock(&self.inner.state).files.remove(name).is_some(),
            "{name}"
        );
    }

    fn handle(&self, name: &str, data: &Arc<Data>) -> Arc<dyn File> {
        let mut state = lock(&self.inner.state);
        state.open += 1;
        state.highest_open = state.highest_open.max(state.open);
        drop(state);
        Arc::new(Handle {
            name: name.to_owned(),
            data: Arc::clone(data),
            inner: Arc::clone(&self.inner),
        })
    }
}
