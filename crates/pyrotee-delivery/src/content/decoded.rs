//! A body that was unpacked, and its rewritten form for each set of tags.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use pyroscope_wire::Undecodable;
use pyroscope_wire::encoding::{Coding, Encoding};
use pyroscope_wire::message::Message;
use pyroscope_wire::{Tags, gzip};
use pyrotee_queue::{Reason, Record, Reservation, lock};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use tokio::task::spawn_blocking;

/// Largest message that is unpacked, in bytes. A larger body is a decompression bomb, or a message that no
/// Pyroscope would take: its record is dropped as `undecodable`.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024 * 1024;

/// First limit of an unpacked body, as a multiple of its packed size; profiles grow three- to fivefold. After
/// an attempt that exceeds its limit, the limit grows by the same factor. Each attempt reserves its limit in
/// the budget beforehand, so a bomb never holds more than was reserved.
const GROWTH: u64 = 8;

/// Lowest limit of an attempt, in bytes: tags may be many times as long as a series without samples.
const MIN_GRANT_BYTES: u64 = 64 * 1024;

/// The unpacked body of one record, shared by all targets that have tags. The record owns it.
#[derive(Debug)]
pub(super) struct DecodedBody {
    message: Result<Charged<Message>, DecodeFault>,
    tagged: Mutex<Vec<(Arc<Tags>, TaggedCell)>>,
}

/// A body with the labels of one set of tags. The first target that needs it fills the cell.
type TaggedCell = Arc<OnceCell<Result<Arc<Charged<TaggedBody>>, Reason>>>;

/// A body with a target's tags in it, as it is sent.
#[derive(Debug, Clone)]
pub(super) struct TaggedBody {
    /// The `Content-Encoding` of the upload.
    pub(super) coding: Coding,
    /// Pieces that are never empty: slices of the message where it is unchanged.
    pub(super) pieces: Vec<Bytes>,
}

/// Why a body could not be unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) enum DecodeFault {
    /// The body is not what its headers say.
    Unreadable(Undecodable),
    /// Unpacking it panicked.
    Panicked,
    /// The budget has no room for the unpacked body at the moment.
    Shortage,
    /// The whole budget has no room for what unpacking the body may take.
    LargerThanBudget,
}

impl DecodeFault {
    /// The reason to drop the record.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Unreadable(_) | Self::Panicked => Reason::Undecodable,
            Self::Shortage | Self::LargerThanBudget => Reason::Budget,
        }
    }
}

/// A value whose bytes are reserved in the budget until it is dropped.
#[derive(Debug)]
struct Charged<T> {
    value: T,
    _reservation: Reservation,
}

impl DecodedBody {
    /// Returns the body of `record` with `tags` in it, compressed if it was received compressed. `coding` is
    /// the one that the record's head declares.
    pub(super) async fn tagged(
        record: &Arc<Record>,
        encoding: Encoding,
        coding: Coding,
        tags: &Arc<Tags>,
    ) -> Result<TaggedBody, Reason> {
        let decoded = record
            .derive(|| Self::unpack(Arc::clone(record), encoding, coding))
            .await;
        let decoded = decoded.ok_or(Reason::Undecodable)?;
        let message = decoded.message.as_ref().map_err(|fault| fault.reason())?;
        let cell = decoded.cell(tags);
        let tagged = cell
            .get_or_init(|| pack(record, message.value.clone(), tags))
            .await;
        tagged
            .as_ref()
            .map(|charged| charged.value.clone())
            .map_err(|reason| *reason)
    }

    /// Unpacks the body of `record` and makes sure that at least one of `tags` can be put into it. `permit` is
    /// held for as long as a thread is busy with that, even if nobody waits for the result any more.
    ///
    /// The record keeps the result for its deliveries, unless memory is scarce: a record may wait long.
    pub(super) async fn check(
        record: &Arc<Record>,
        encoding: Encoding,
        coding: Coding,
        tags: Arc<[Arc<Tags>]>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), DecodeFault> {
        let shared = Arc::clone(record);
        let message = blocking(DecodeFault::Panicked, move || {
            let _permit = permit;
            let message = read(&shared, encoding, coding)?;
            can_be_tagged(&message.value, &tags).map_err(DecodeFault::Unreadable)?;
            Ok(message)
        });
        if record.is_memory_scarce() {
            return message.await.map(drop);
        }
        let decoded = record.derive(|| async { Self::from(message.await) }).await;
        decoded.map_or(Ok(()), |decoded: &Self| {
            decoded.message.as_ref().map(|_| ()).map_err(|fault| *fault)
        })
    }

    async fn unpack(record: Arc<Record>, encoding: Encoding, coding: Coding) -> Self {
        let read = move || read(&record, encoding, coding);
        Self::from(blocking(DecodeFault::Panicked, read).await)
    }

    /// The cell of `tags`. A list suffices: few targets have tags, and most of those the same.
    fn cell(&self, tags: &Arc<Tags>) -> TaggedCell {
        let mut tagged = lock(&self.tagged);
        if let Some((_, cell)) = tagged.iter().find(|(other, _)| other == tags) {
            return Arc::clone(cell);
        }
        let cell = TaggedCell::default();
        tagged.push((Arc::clone(tags), Arc::clone(&cell)));
        cell
    }
}

impl From<Result<Charged<Message>, DecodeFault>> for DecodedBody {
    fn from(message: Result<Charged<Message>, DecodeFault>) -> Self {
        Self {
            message,
            tagged: Mutex::default(),
        }
    }
}

/// Returns an error if none of `tags` can be put into `message`.
fn can_be_tagged(message: &Message, tags: &[Arc<Tags>]) -> Result<(), Undecodable> {
    let mut result = Ok(());
    for tags in tags {
        result = message.tagged(tags).map(drop);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Unpacks the body within what the budget grants.
fn read(
    record: &Record,
    encoding: Encoding,
    coding: Coding,
) -> Result<Charged<Message>, DecodeFault> {
    let mut growth = GROWTH;
    loop {
        let grant = record
            .len()
            .saturating_mul(growth)
            .clamp(MIN_GRANT_BYTES, MAX_MESSAGE_BYTES);
        let reservation = record.reserve(grant);
        let reservation = reservation.ok_or(match grant > record.most_reservable() {
            true => DecodeFault::LargerThanBudget,
            false => DecodeFault::Shortage,
        })?;
        let limit = usize::try_from(grant).unwrap_or(usize::MAX);
        match Message::read(encoding, coding, record.body().frames(), limit) {
            Ok(message) => {
                drop(reservation);
                let reservation = record
                    .reserve(message.bytes().len() as u64)
                    .ok_or(DecodeFault::Shortage)?;
                return Ok(Charged {
                    value: message,
                    _reservation: reservation,
                });
            }
            Err(Undecodable::TooLarge { .. }) if grant < MAX_MESSAGE_BYTES => {
                growth = growth.saturating_mul(GROWTH);
            }
            Err(fault) => return Err(DecodeFault::Unreadable(fault)),
        }
    }
}

/// Puts `tags` into `message`, and compresses the result if the message was received compressed.
async fn pack(
    record: &Record,
    message: Message,
    tags: &Arc<Tags>,
) -> Result<Arc<Charged<TaggedBody>>, Reason> {
    let coding = message.received_coding();
    let (tags, plain) = (Arc::clone(tags), message.bytes().len());
    let pieces = blocking(Reason::Undecodable, move || {
        let pieces = message
            .tagged(&tags)
            .map_err(|_fault| Reason::Undecodable)?;
        Ok(match coding {
            Coding::Identity => pieces,
            Coding::Gzip => vec![gzip::compress(&pieces)],
        })
    });
    let pieces = pieces.await?;
    let sent: usize = pieces.iter().map(Bytes::len).sum();
    let added = match coding {
        // Slices of the message, which is charged already, and the new text between them.
        Coding::Identity => sent.saturating_sub(plain) + pieces.len() * size_of::<Bytes>(),
        Coding::Gzip => sent,
    };
    let reservation = record.reserve(added as u64).ok_or(Reason::Budget)?;
    Ok(Arc::new(Charged {
        value: TaggedBody { coding, pieces },
        _reservation: reservation,
    }))
}

/// Runs `work` on a thread for blocking work, since it takes long. Returns `panicked` if it panics.
async fn blocking<T: Send + 'static, E: Send + 'static>(
    panicked: E,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    spawn_blocking(work).await.unwrap_or(Err(panicked))
}
