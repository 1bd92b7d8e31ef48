//! A file of the directory in memory.

use std::io::{self, IoSlice};

use pyrotee_queue::lock;

use super::{Done, Handle, is_half, unreadable};
use crate::storage::File;

impl File for Handle {
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let done = self.inner.change();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = parts.iter().flat_map(|part| part.iter().copied());
        let mut data = lock(&self.data.0);
        match done {
            // Not all at once: whoever writes must go on.
            Done::All => {
                let some = len.min(700.max(len / 4));
                data.bytes.extend(bytes.take(some));
                Ok(some)
            }
            Done::Half(error) => {
                if is_half(&error) {
                    data.bytes.extend(bytes.take(len / 2));
                }
                Err(error)
            }
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.reads.pass();
        let mut state = lock(&self.inner.state);
        state.read += buffer.len() as u64;
        let end = offset + buffer.len() as u64;
        let mut bad = state.bad_bytes.iter();
        let is_bad =
            bad.any(|(name, bad)| *name == self.name && bad.start < end && offset < bad.end);
        if is_bad || state.unreadable.contains(&self.name) {
            return Err(unreadable());
        }
        drop(state);
        let data = lock(&self.data.0);
        let from = usize::try_from(offset).unwrap().min(data.bytes.len());
        let rest = &data.bytes[from..];
        let some = rest.len().min(buffer.len()).min(50_000);
        buffer[..some].copy_from_slice(&rest[..some]);
        Ok(some)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.syncs.pass();
        self.inner.whole(|_| {
            let mut data = lock(&self.data.0);
            data.synced = data.bytes.clone();
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.whole(|state| {
            state.check_stuck(&self.name)?;
            lock(&self.data.0)
                .bytes
                .truncate(usize::try_from(len).unwrap());
            Ok(())
        })
    }
}
