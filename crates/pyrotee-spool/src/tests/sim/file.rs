//! A file of the simulated directory.

use std::io::{self, IoSlice};
use std::ops::Range;

use pyrotee_queue::lock;
use pyrotee_segments::File;

use super::{Done, Handle, is_half, unreadable};

impl File for Handle {
    fn append(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let done = self.inner.change();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = parts.iter().flat_map(|part| part.iter().copied());
        let mut data = lock(&self.data.0);
        match done {
            // Only a part of the bytes, so that the caller must write the rest.
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
        let hits = |bytes: &[(String, Range<u64>)]| {
            let mut bytes = bytes.iter();
            bytes.any(|(name, bad)| *name == self.name && bad.start < end && offset < bad.end)
        };
        if hits(&state.cursed_bytes) {
            drop(state);
            panic!("the code that reads broke");
        }
        if hits(&state.bad_bytes) || state.unreadable.contains(&self.name) {
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
