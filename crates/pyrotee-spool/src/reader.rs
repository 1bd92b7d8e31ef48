//! The thread that reads records back from disk.

use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, mpsc};

use pyrotee_queue::{Part, Record, Reservation, lock};
use pyrotee_segments::{File, Flight, SegmentPosition, read_record};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::shared::Shared;
use crate::spooled_record::{Lookup, SpooledRecord};

/// A spool whose threads run. Producer, consumers and leases share it; dropping the last reference stops the
/// threads.
#[derive(Debug)]
pub(crate) struct RunningSpool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reader: mpsc::Sender<ReaderRequest>,
}

impl Drop for RunningSpool {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// A request to the reader thread.
#[derive(Debug)]
pub(crate) enum ReaderRequest {
    Read(ReadRequest),
    /// Note on disk that a record is about to be handed out.
    NoteLease {
        flight: Flight,
        noted: oneshot::Sender<()>,
    },
    /// Note on disk that the lease of a record has ended.
    NoteEnd(Flight),
}

/// A request to read one record.
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

/// Reads records until all senders of requests are dropped. A panic drops the request, which its consumer notices.
pub(crate) fn run(requests: &mpsc::Receiver<ReaderRequest>, shared: &Shared) {
    loop {
        let request = match shared.lives.trial_ends() {
            None => requests.recv().map_err(RecvTimeoutError::from),
            Some(at) => requests.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        let ends = matches!(request, Err(RecvTimeoutError::Disconnected));
        let work = || match request {
            Ok(ReaderRequest::Read(request)) => answer(request, shared),
            Ok(ReaderRequest::NoteLease { flight, noted }) => {
                shared.lives.note_lease(flight);
                // The consumer may have given up.
                noted.send(()).ok();
            }
            Ok(ReaderRequest::NoteEnd(flight)) => {
                shared.lives.note_end(flight);
                if shared.lives.is_careful() {
                    // The record may have been the last one on trial.
                    shared.tracker.wakeup.notify();
                }
            }
            Err(RecvTimeoutError::Timeout) => shared.lives.pass_trial(),
            Err(RecvTimeoutError::Disconnected) => {}
        };
        // The supervisor counts and logs a panic.
        shared.supervisor.catch(Part::SpoolRead, work).ok();
        if ends {
            return;
        }
    }
}

fn answer(request: ReadRequest, shared: &Shared) {
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
        return;
    };
    let number = record.number();
    // The record may have been read for another target meanwhile.
    let result = match record.lookup() {
        Lookup::Memory(record) => ReadResult::Record(record),
        Lookup::Disk(_) | Lookup::Released => {
            match read_record(&*file, position, number, record.bytes, reservation, crc) {
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
                    match shared.note_missing(position) {
                        true => ReadResult::Corrupt,
                        false => ReadResult::Failed,
                    }
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
