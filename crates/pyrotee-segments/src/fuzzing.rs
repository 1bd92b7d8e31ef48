//! The decoders of files, applied to bytes. Only `tests/fuzz` uses this module.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::{Head, Payload, SurfaceId};

use crate::directory::{SegmentScanner, head_of};
use crate::format::{Crc, Cursors, Names, RecordHead, SegmentHead};
use crate::storage::File;

/// A record that recovery finds in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The number of the record.
    pub number: u64,
    /// The range of its bytes in the segment.
    pub bytes: Range<u64>,
    /// Whether its body is undamaged.
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

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A segment with records of these bodies, numbered from zero, and the offset at which each of them ends.
pub fn segment(salt: u64, bodies: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
    let head = SegmentHead {
        salt,
        first: 0,
        names: Names::from([(0, "target".to_owned())]),
    };
    let mut bytes = head.encode();
    let mut ends = Vec::new();
    for (number, body) in (0..).zip(bodies) {
        let meaning = [("x-version", *body)].into_iter();
        let head = RecordHead {
            number,
            takers: vec![0],
            head: Head {
                surface: SurfaceId(1),
                query: "name=fuzz".into(),
                content_type: None,
                content_encoding: None,
                headers: meaning.filter(|_| number % 2 == 1).collect(),
                hops: 0,
                received: SystemTime::UNIX_EPOCH,
                captor_tags: (number % 3 == 2).then(|| "a=b".into()),
            },
        };
        let body = Payload::from(body.to_vec());
        bytes.extend(head.encode(&body, Crc::salted(salt)));
        bytes.extend(body.frames().iter().flat_map(|frame| frame.iter()));
        ends.push(bytes.len() as u64);
    }
    (bytes, ends)
}

/// Reads a segment as recovery reads the last segment. `salt` is used if the head cannot be read.
pub fn scan(bytes: Vec<u8>, salt: u64) -> Vec<FoundRecord> {
    let len = bytes.len() as u64;
    let file: Arc<dyn File> = Arc::new(Bytes(bytes));
    let head = head_of(&*file).ok().and_then(Result::ok);
    let (salt, first, start) = match head {
        Some((head, len)) => (head.salt, head.first, len as u64),
        None => (salt, 0, 0),
    };
    let scanner = SegmentScanner {
        file,
        len,
        crc: Crc::salted(salt),
        bodies: true,
        numbers: first..u64::MAX,
    };
    let scan = scanner.run(start).unwrap_or_default();
    let found = scan.records.into_iter().map(|record| FoundRecord {
        number: record.number,
        bytes: record.offset..record.end(),
        whole: record.whole,
    });
    found.collect()
}

/// Decodes a cursor slot, encodes the cursors and decodes them again. Returns whether both results are equal. `None`:
/// the bytes are not a cursor slot.
pub fn cursors(bytes: &[u8]) -> Option<bool> {
    let cursors = Cursors::decode(bytes).ok()?;
    Some(Cursors::decode(&cursors.encode()).as_ref() == Ok(&cursors))
}

/// Checks the content of a cursor slot without its checksums, in the way of [`cursors`].
pub fn cursors_content(content: &[u8]) -> Option<bool> {
    let cursors = Cursors::of_content(content)?;
    Some(Cursors::decode(&cursors.encode()).as_ref() == Ok(&cursors))
}

/// Checks the head of a record without its checksum, in the way of [`cursors`].
pub fn record_head(bytes: &[u8]) -> Option<bool> {
    RecordHead::is_stable(bytes)
}
