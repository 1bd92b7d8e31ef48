//! A body that was unpacked, and what was made of it for each set of tags.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use pyroscope_wire::Undecodable;
use pyroscope_wire::encoding::{Coding, Encoding};
use pyroscope_wire::message::{EncodedBody, Message, untagged};
use pyroscope_wire::{Tags, gzip};
use pyrotee_queue::{Reason, Record, Reservation};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// Largest message that is unpacked, in bytes; what is larger is a bomb, or nothing that a
/// Pyroscope would take.
const LARGEST: u64 = 64 * 1024 * 1024;

/// How far a body may grow at the first try; profiles grow three- to fivefold. A try costs the
/// budget what it may grow to, so a bomb never holds more than it was granted.
const FIRST_TRY: u64 = 8;

/// What the smallest body may grow to: tags may be many times as long as a series without samples.
const SMALLEST_GRANT: u64 = 64 * 1024;

/// One body, shared by all targets that have tags. It lives as long as its record.
#[derive(Debug)]
pub(super) struct Decoded {
    message: Result<Held<Message>, Reason>,
    variants: Mutex<Vec<(Arc<Tags>, Variant)>>,
}

/// A message with one set of tags, made by whoever needs it first.
type Variant = Arc<OnceCell<Result<Arc<Held<EncodedBody>>, Reason>>>;

/// Something that the budget is charged for.
#[derive(Debug)]
struct Held<T> {
    it: T,
    _share: Reservation,
}

impl Decoded {
    /// The body of `record`, whose head declares `coding`, with `tags` in it, packed if it came packed.
    pub(super) async fn tagged(
        record: &Arc<Record>,
        encoding: Encoding,
        coding: Coding,
        tags: &Arc<Tags>,
    ) -> Result<EncodedBody, Reason> {
        // A gRPC frame may be plain although a coding was declared: what came counts.
        let received = untagged(encoding, coding, record.body().frames());
        let packing = received.map_err(|_fault| Reason::Undecodable)?.coding;
        let decoded = record
            .derive(|| Self::unpack(Arc::clone(record), encoding, coding))
            .await;
        let decoded = decoded.ok_or(Reason::Undecodable)?;
        let message = decoded.message.as_ref().map_err(|reason| *reason)?;
        let variant = decoded.variant(tags);
        let made = variant
            .get_or_init(|| pack(record, message.it.clone(), packing, tags))
            .await;
        made.as_ref()
            .map(|held| held.it.clone())
            .map_err(|reason| *reason)
    }

    async fn unpack(record: Arc<Record>, encoding: Encoding, coding: Coding) -> Self {
        let message = blocking(move || read(&record, encoding, coding)).await;
        Self {
            message,
            variants: Mutex::default(),
        }
    }

    /// Few targets have tags, and most of them the same or none: a list will do.
    fn variant(&self, tags: &Arc<Tags>) -> Variant {
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, variant)) = variants.iter().find(|(other, _)| other == tags) {
            return Arc::clone(variant);
        }
        let variant = Variant::default();
        variants.push((Arc::clone(tags), Arc::clone(&variant)));
        variant
    }
}

/// Unpacks the body, within what the budget grants.
fn read(record: &Record, encoding: Encoding, coding: Coding) -> Result<Held<Message>, Reason> {
    let mut growth = FIRST_TRY;
    loop {
        let most = record
            .len()
            .saturating_mul(growth)
            .clamp(SMALLEST_GRANT, LARGEST);
        let share = record.reserve(most).ok_or(Reason::Budget)?;
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        match Message::read(encoding, coding, record.body().frames(), limit) {
            Ok(message) => {
                drop(share);
                let held = record
                    .reserve(message.bytes().len() as u64)
                    .ok_or(Reason::Budget)?;
                return Ok(Held {
                    it: message,
                    _share: held,
                });
            }
            Err(Undecodable::TooLarge { .. }) if most < LARGEST => {
                growth = growth.saturating_mul(FIRST_TRY);
            }
            Err(_fault) => return Err(Reason::Undecodable),
        }
    }
}

async fn pack(
    record: &Record,
    message: Message,
    packing: Coding,
    tags: &Arc<Tags>,
) -> Result<Arc<Held<EncodedBody>>, Reason> {
    let (tags, plain) = (Arc::clone(tags), message.bytes().len());
    let delivery = blocking(move || {
        let pieces = message
            .tagged(&tags)
            .map_err(|_fault| Reason::Undecodable)?;
        let body = match packing {
            Coding::Identity => pieces,
            Coding::Gzip => vec![gzip::compress(&pieces)],
        };
        Ok(EncodedBody {
            content_type: message.content_type(),
            coding: packing,
            body,
        })
    });
    let delivery = delivery.await?;
    let sent: usize = delivery.body.iter().map(Bytes::len).sum();
    let added = match packing {
        // Slices of the message, which is charged already, and the new text between them.
        Coding::Identity => sent.saturating_sub(plain) + delivery.body.len() * size_of::<Bytes>(),
        Coding::Gzip => sent,
    };
    let share = record.reserve(added as u64).ok_or(Reason::Budget)?;
    Ok(Arc::new(Held {
        it: delivery,
        _share: share,
    }))
}

/// Runs what takes long on a thread that serves nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    spawn_blocking(work)
        .await
        .unwrap_or(Err(Reason::Undecodable))
}
