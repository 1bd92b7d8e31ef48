//! The thread that reads records back from disk.

use std::io;
use std::sync::{Arc, Mutex, mpsc};

use pyrotee_queue::{Payload, Record, Reservation, lock};
use tokio::sync::oneshot;

use crate::format::{Crc, PREFIX_LEN, RecordPrefix};
use crate::shared::Shared;
use crate::spooled_record::{Lookup, SegmentPosition, SpooledRecord};
use crate::storage::{File, read_up_to};

/// Asks the thread to read one record.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) record: Arc<SpooledRecord>,
    pub(crate) position: SegmentPosition,
    pub(crate) file: Arc<dyn File>,
    /// Covers the bytes to be read.
    pub(crate) reservation: Reservation,
    pub(crate) reply: oneshot::Sender<ReadResult>,
    pub(crate) late: Arc<LateRead>,
}

/// A record, with its number, that was read after its lease was given up. A worker gives up a lease whenever
/// an upload ends; the next lease takes the record from here, so that a slow disk need not read it again.
pub(crate) type LateRead = Mutex<Option<(u64, Arc<Record>)>>;

/// The result of reading one record.
#[derive(Debug)]
pub(crate) enum ReadResult {
    Record(Arc<Record>),
    /// The bytes on disk are not what was written.
    Corrupt,
    /// The operating system did not return the record. It is held back in all queues.
    Failed,
}

/// Reads records until all senders of requests are dropped.
pub(crate) fn run(requests: &mpsc::Receiver<ReadRequest>, shared: &Shared) {
    while let Ok(request) = requests.recv() {
        let ReadRequest {
            record,
            position,
            file,
            reservation,
            reply,
            late,
        } = request;
        let Some(crc) = shared.crc.get().copied() else {
            // No record is on disk before the spool is open.
            continue;
        };
        let number = record.number();
        // It may have been read for another target meanwhile.
        let result = match record.lookup() {
            Lookup::Memory(record) => ReadResult::Record(record),
            Lookup::Disk(_) | Lookup::Released => {
                match read(&*file, position, number, record.bytes, reservation, crc) {
                    Ok(Some(body)) => {
                        let bytes = u64::from(position.before_body) + record.bytes;
                        shared.counters.read.add(bytes);
                        record.cache(&body);
                        shared.note_read(position, number);
                        ReadResult::Record(body)
                    }
                    Ok(None) => {
                        shared.note_read(position, number);
                        shared.note_damaged(position);
                        ReadResult::Corrupt
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        shared.note_missing(position)
                    }
                    Err(error) => {
                        shared.note_read_failure(position, number, &error);
                        ReadResult::Failed
                    }
                }
            }
        };
        if let Err(ReadResult::Record(body)) = reply.send(result) {
            *lock(&late) = Some((number, body));
        }
    }
}

/// Reads the record with this number and body length. `None`: the bytes at `position` are not that record.
pub(crate) fn read(
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
