//! The readers of files, on bytes: for `tests/fuzz`, which sees nothing of this crate otherwise.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::{Head, Payload, SurfaceId};

use crate::format::{Crc, Cursors, Names, RecordHead, SegmentHead};
use crate::recovery::{Scanner, head_of};
use crate::storage::File;

/// What a start finds in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The record's number.
    pub number: u64,
    /// Where it lies.
    pub bytes: Range<u64>,
    /// Its body is what was written.
    pub whole: bool,
}

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn append(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(from..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        let (Some(from), Some(to)) = (rest.get(..len), buffer.get_mut(..len)) else {
            return Ok(0);
        };
        to.copy_from_slice(from);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A segment with records of these bodies, numbered from zero, and where each of them ends.
pub fn segment(salt: u64, bodies: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
    let head = SegmentHead {
        salt,
        first: 0,
        names: Names::from([(0, "target".to_owned())]),
    };
    let mut bytes = head.encode();
    let mut ends = Vec::new();
    for (number, body) in (0..).zip(bodies) {
        let head = RecordHead {
            number,
            takers: vec![0],
            head: Head {
                surface: SurfaceId(1),
                query: "name=fuzz".into(),
                content_type: None,
                content_encoding: None,
                hops: 0,
                received: SystemTime::UNIX_EPOCH,
            },
        };
        let body = Payload::from(body.to_vec());
        bytes.extend(head.encode(&body, Crc::salted(salt)));
        bytes.extend(body.frames().iter().flat_map(|frame| frame.iter()));
        ends.push(bytes.len() as u64);
    }
    (bytes, ends)
}

/// Reads a segment as a start does that finds it last. `salt` stands in for a head that cannot be read.
pub fn scan(bytes: Vec<u8>, salt: u64) -> Vec<FoundRecord> {
    let len = bytes.len() as u64;
    let file: Arc<dyn File> = Arc::new(Bytes(bytes));
    let head = head_of(&*file).ok().and_then(Result::ok);
    let (salt, first, start) = match head {
        Some((head, len)) => (head.salt, head.first, len as u64),
        None => (salt, 0, 0),
    };
    let scanner = Scanner {
        file,
        len,
        crc: Crc::salted(salt),
        bodies: true,
        numbers: first..u64::MAX,
    };
    let scan = scanner.run(start).unwrap_or_default();
    let found = scan.found.into_iter().map(|found| FoundRecord {
        number: found.number,
        bytes: found.offset..found.offset + u64::from(found.before_body) + found.bytes,
        whole: found.whole,
    });
    found.collect()
}

/// Reads a cursor slot; if it can be read, writes it again, and tells whether that says the same.
pub fn cursors(bytes: &[u8]) -> Option<bool> {
    let cursors = Cursors::decode(bytes).ok()?;
    Some(Cursors::decode(&cursors.encode()).as_ref() == Ok(&cursors))
}

/// The same for what lies behind the checksums of a slot.
pub fn cursors_content(content: &[u8]) -> Option<bool> {
    let cursors = Cursors::of_content(content)?;
    Some(Cursors::decode(&cursors.encode()).as_ref() == Ok(&cursors))
}

/// The same for what lies behind the checksum of a record's head: whether that is written as it was.
pub fn record_head(bytes: &[u8]) -> Option<bool> {
    RecordHead::is_stable(bytes)
}
