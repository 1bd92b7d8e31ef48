//! The simulated directory as a `Storage`.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::lock;
use pyrotee_segments::{File, Space, Stat, Storage};

use super::{Data, Done, Sim, is_half, unreadable};

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

    fn overwrite(&self, name: &str, content: &[u8]) -> io::Result<Arc<dyn File>> {
        let done = self.inner.change();
        let mut state = lock(&self.inner.state);
        if matches!(&done, Done::Half(error) if !is_half(error)) {
            let Done::Half(error) = done else {
                unreachable!()
            };
            return Err(error);
        }
        let data = Arc::clone(state.files.entry(name.to_owned()).or_default());
        let written = match &done {
            Done::All => content,
            Done::Half(_) => &content[..content.len() / 2],
        };
        let mut locked = lock(&data.0);
        let keep = locked.bytes.len().max(written.len());
        locked.bytes.resize(keep, 0);
        locked.bytes[..written.len()].copy_from_slice(written);
        drop(locked);
        drop(state);
        match done {
            Done::All => Ok(self.handle(name, &data)),
            Done::Half(error) => Err(error),
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
