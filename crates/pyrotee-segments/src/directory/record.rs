//! Reads one record whose position is known.

use std::io;
use std::sync::Arc;

use pyrotee_queue::{Payload, Record, Reservation};

use crate::format::{Crc, PREFIX_LEN, RecordPrefix};
use crate::storage::{File, read_up_to};

/// The position of a record in the spool, found by an earlier scan of its segment.
#[derive(Debug, Clone, Copy)]
pub struct SegmentPosition {
    /// The number of the segment.
    pub segment: u64,
    /// The offset of the record's first byte in the segment.
    pub offset: u64,
    /// Length of the record's prefix and head, in bytes.
    pub before_body: u32,
}

/// Reads the record `number`, whose body has the length `bytes`, which `reservation` covers. `None`: the bytes at
/// `position` are damaged or are not this record.
///
/// # Errors
/// The operating system cannot read the file.
pub fn read_record(
    file: &dyn File,
    position: SegmentPosition,
    number: u64,
    bytes: u64,
    reservation: Reservation,
    crc: Crc,
) -> io::Result<Option<Arc<Record>>> {
    let Ok(len) = usize::try_from(bytes) else {
        return Ok(None);
    };
    let mut before = vec![0; position.before_body as usize];
    if read_up_to(file, position.offset, &mut before)? < before.len() {
        return Ok(None);
    }
    let head = || {
        let (prefix, head) = before.split_at_checked(PREFIX_LEN)?;
        let prefix = RecordPrefix::decode(prefix)?;
        let head = prefix.decode_head(head, crc)?;
        (head.number == number && prefix.body_len == bytes).then_some((prefix, head.head))
    };
    let Some((prefix, head)) = head() else {
        return Ok(None);
    };
    let mut body = vec![0; len];
    let offset = position.offset + u64::from(position.before_body);
    if read_up_to(file, offset, &mut body)? < len {
        return Ok(None);
    }
    let mut hasher = crc.start();
    hasher.update(&body);
    if hasher.finalize() != prefix.body_crc {
        return Ok(None);
    }
    Ok(Some(Record::new(head, Payload::from(body), reservation)))
}
