//! The thread that reads records back.

use std::io;
use std::sync::{Arc, Mutex, mpsc};

use pyrotee_queue::{Payload, Record, Reservation, lock};
use tokio::sync::oneshot;
use tracing::warn;

use crate::entry::{Entry, Location, Lookup};
use crate::format::{Crc, FIXED, Lengths};
use crate::shared::Shared;
use crate::storage::{File, read_up_to};

/// One record to be read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) entry: Arc<Entry>,
    pub(crate) location: Location,
    pub(crate) file: Arc<dyn File>,
    /// Covers what is read.
    pub(crate) reservation: Reservation,
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) kept: Arc<Kept>,
}

/// A record whose reader was gone when it came. Deliverers give up waiting whenever an upload ends,
/// and a slow disk shall not start anew each time.
pub(crate) type Kept = Mutex<Option<(u64, Arc<Record>)>>;

#[derive(Debug)]
pub(crate) enum Answer {
    Record(Arc<Record>),
    /// It is not what was written.
    Corrupt,
    /// The disk does not give it.
    Failed,
}

/// Reads until nobody can ask any more.
pub(crate) fn run(requests: &mpsc::Receiver<Request>, shared: &Shared, crc: Crc) {
    while let Ok(request) = requests.recv() {
        let Request {
            entry,
            location,
            file,
            reservation,
            answer,
            kept,
        } = request;
        // Another target may have had it read meanwhile.
        let found = match entry.lookup() {
            Lookup::Here(record) => Answer::Record(record),
            Lookup::There(_) | Lookup::Nowhere => {
                match read(
                    &*file,
                    location,
                    entry.number,
                    entry.bytes,
                    reservation,
                    crc,
                ) {
                    Ok(Some(record)) => {
                        let bytes = u64::from(location.before_body) + entry.bytes;
                        shared.counters.read.add(bytes);
                        entry.share(&record);
                        Answer::Record(record)
                    }
                    Ok(None) => {
                        warn!(
                            segment = location.segment,
                            offset = location.offset,
                            "record in the spool is damaged"
                        );
                        shared
                            .book
                            .with(|book| book.segments.damage(location.segment));
                        shared.counters.corrupt_records.add(1);
                        Answer::Corrupt
                    }
                    Err(error) => {
                        warn!(
                            segment = location.segment,
                            error = &error as &dyn std::error::Error,
                            "failed to read the spool"
                        );
                        Answer::Failed
                    }
                }
            }
        };
        if let Err(Answer::Record(record)) = answer.send(found) {
            *lock(&kept) = Some((entry.number, record));
        }
    }
}

/// `None`: what is there is not that record.
pub(crate) fn read(
    file: &dyn File,
    location: Location,
    number: u64,
    bytes: u64,
    reservation: Reservation,
    crc: Crc,
) -> io::Result<Option<Arc<Record>>> {
    let Ok(len) = usize::try_from(bytes) else {
        return Ok(None);
    };
    let mut before = vec![0; location.before_body as usize];
    if read_up_to(file, location.offset, &mut before)? < before.len() {
        return Ok(None);
    }
    let head = || {
        let (fixed, head) = before.split_at_checked(FIXED)?;
        let lengths = Lengths::decode(fixed)?;
        let head = lengths.head(head, crc)?;
        (head.number == number && lengths.body == bytes).then_some((lengths, head.head))
    };
    let Some((lengths, head)) = head() else {
        return Ok(None);
    };
    let mut body = vec![0; len];
    let offset = location.offset + u64::from(location.before_body);
    if read_up_to(file, offset, &mut body)? < len {
        return Ok(None);
    }
    let mut hasher = crc.start();
    hasher.update(&body);
    if hasher.finalize() != lengths.body_crc {
        return Ok(None);
    }
    Ok(Some(Record::new(head, Payload::from(body), reservation)))
}
