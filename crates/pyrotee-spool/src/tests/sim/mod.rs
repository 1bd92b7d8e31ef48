//! A directory in memory that fails when it is told to, and forgets what was not synced.

mod file;
mod gate;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyrotee_queue::lock;

use crate::format::segment_of;
use crate::storage::{File, Space, Stat, Storage};
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
    /// As they were when names were last synced.
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

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The change of this number is done by half, and it and all later ones fail.
    From(u64),
    /// The change of the first number is done by half, and all up to the second fail.
    Between(u64, u64),
    /// All fail for want of space.
    Full,
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
            Some(Trouble::Full) => Done::Half(io::ErrorKind::StorageFull.into()),
            _ => Done::All,
        }
    }

    /// A change that is done or not, nothing between.
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

/// Whether this is the one change of a failing series that is done by half.
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

    /// What a process finds that starts after this one was killed.
    pub(super) fn after_kill(&self) -> Arc<Self> {
        let state = lock(&self.inner.state);
        Self::of(&state.files, |content| content.bytes.clone())
    }

    /// What it finds if the power was lost as well.
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
        names.retain(|name| segment_of(name).is_some());
        names
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.list().unwrap().into_iter();
        let segments = files.filter(|(name, _)| segment_of(name).is_some());
        segments.map(|(_, len)| len).sum()
    }

    /// Changes a file behind the spool's back.
    pub(super) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = lock(&self.inner.state);
        let data = Arc::clone(state.files.entry(name.to_owned()).or_default());
        change(&mut lock(&data.0).bytes);
    }

    /// From now on the disk does not give a file.
    pub(super) fn spoil(&self, name: &str) {
        lock(&self.inner.state).unreadable.insert(name.to_owned());
    }

    /// From now on the disk does not give these bytes of a file.
    pub(super) fn spoil_bytes(&self, name: &str, bytes: Range<u64>) {
        lock(&self.inner.state)
            .bad_bytes
            .push((name.to_owned(), bytes));
    }

    /// From now on a file can be neither removed, renamed nor truncated.
    pub(super) fn stick(&self, name: &str) {
        lock(&self.inner.state).stuck.insert(name.to_owned());
    }

    /// Bytes that were read so far.
    pub(super) fn read(&self) -> u64 {
        lock(&self.inner.state).read
    }

    /// The disk gives everything again.
    pub(super) fn heal(&self) {
        let mut state = lock(&self.inner.state);
        state.unreadable.clear();
        state.stuck.clear();
        state.bad_bytes.clear();
    }

    /// All files were last written to at this time.
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

impl Storage for Sim {
    fn prepare(&self) -> io::Result<()> {
        let error = lock(&self.inner.state).prepare_error;
        error.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = lock(&self.inner.state);
        if let Some(kind) = state.list_error {
            return Err(kind.into());
        }
        let len = |data: &Arc<Data>| lock(&data.0).bytes.len() as u64;
        let files = state.files.iter();
        Ok(files
            .map(|(name, data)| (name.clone(), len(data)))
            .collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let data = Arc::<Data>::default();
        self.inner.whole(|state| {
            if state.files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.insert(name.to_owned(), Arc::clone(&data));
            Ok(())
        })?;
        Ok(self.handle(name, &data))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = lock(&self.inner.state);
        if state.unreadable.contains(name) {
            return Err(unreadable());
        }
        if state.most_open.is_some_and(|most| state.open >= most) {
            return Err(io::Error::other("too many open files"));
        }
        let data = state.files.get(name).cloned();
        drop(state);
        let data = data.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(name, &data))
    }

    fn overwrite(&self, name: &str, content: &[u8], sync: bool) -> io::Result<()> {
        let done = self.inner.change();
        let mut state = lock(&self.inner.state);
        if matches!(&done, Done::Half(error) if !is_half(error)) {
            let Done::Half(error) = done else {
                unreachable!()
            };
            return Err(error);
        }
        let data = Arc::clone(state.files.entry(name.to_owned()).or_default());
        let mut data = lock(&data.0);
        match done {
            Done::All => {
                let keep = data.bytes.len().max(content.len());
                data.bytes.resize(keep, 0);
                data.bytes[..content.len()].copy_from_slice(content);
                if sync {
                    data.synced = data.bytes.clone();
                }
                Ok(())
            }
            Done::Half(error) => {
                let half = content.len() / 2;
                let keep = data.bytes.len().max(half);
                data.bytes.resize(keep, 0);
                data.bytes[..half].copy_from_slice(&content[..half]);
                Err(error)
            }
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.whole(|state| {
            state.check_stuck(from)?;
            let data = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.files.insert(to.to_owned(), data);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.whole(|state| {
            state.check_stuck(name)?;
            let removed = state.files.remove(name).map(drop);
            removed.ok_or(io::ErrorKind::NotFound.into())
        })
    }

    fn stat(&self, name: &str) -> io::Result<Stat> {
        let state = lock(&self.inner.state);
        let data = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let len = lock(&data.0).bytes.len() as u64;
        let modified = state.modified.unwrap_or_else(SystemTime::now);
        Ok(Stat {
            len,
            modified: Some(modified),
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.inner.whole(|state| {
            state.durable = state.files.clone();
            Ok(())
        })
    }

    fn space(&self) -> io::Result<Space> {
        let space = lock(&self.inner.state).space;
        space.ok_or(io::ErrorKind::Unsupported.into())
    }
}
