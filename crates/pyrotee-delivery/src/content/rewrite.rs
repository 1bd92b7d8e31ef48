//! Rewrites one body: unpacks it, puts tags into it, packs it again. Runs on threads for blocking work.
//!
//! Invariants:
//!
//! - All memory of a rewrite is charged to its [`Workspace`] before it is allocated. The workspace grows as the body is
//!   unpacked. If the workspace cannot grow at the moment, the rewrite gives all of it back, waits in line for a larger
//!   workspace and starts again, so that no two rewrites wait for each other.
//! - The time of a rewrite is bounded by the bounds of `pyroscope-wire` on bytes, gzip members, edits and elements.
//! - A rewrite whose caller was cancelled runs to its end, and holds its permit until then.

use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use pyroscope_wire::encoding::{Coding, Encoding, Framing};
use pyroscope_wire::gzip::Room;
use pyroscope_wire::message::{Message, Part, assemble, unframe};
use pyroscope_wire::{Tags, Undecodable, gzip};
use pyrotee_queue::{Reason, Record, Workspace};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, spawn_blocking};

use super::made::{MadeBodies, MadeBody, Memory};

/// Largest message that is unpacked, in bytes. A larger body is a decompression bomb, or a message that no
/// Pyroscope would take: its record is dropped as `undecodable`.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024 * 1024;

/// Least memory for new text, in bytes: tags may be many times as long as a series without samples.
const LEAST_EDITS: u64 = 64 * 1024;

/// Why a body could not be rewritten.
#[derive(Debug, Clone, Copy)]
pub(super) enum RewriteFault {
    /// The body cannot be decoded as its headers say.
    Unreadable(Undecodable),
    /// The memory limit is too low to unpack the body, whatever else is in memory.
    TooLarge,
}

impl RewriteFault {
    /// The reason to drop the record.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Unreadable(_) => Reason::Undecodable,
            Self::TooLarge => Reason::TooLarge,
        }
    }
}

/// The input of a rewrite: the record, and how its body is encoded.
#[derive(Debug, Clone)]
pub(super) struct Rewrite {
    pub(super) record: Arc<Record>,
    pub(super) encoding: Encoding,
    /// The coding that the record's head declares.
    pub(super) coding: Coding,
    #[expect(dead_code, reason = "it is held for as long as a thread is busy")]
    pub(super) permit: Arc<OwnedSemaphorePermit>,
}

/// Why a step of a rewrite ended without a result.
#[derive(Debug)]
enum Stop {
    Fault(RewriteFault),
    /// The rewrite needs a larger workspace. Both sizes are in bytes.
    NeedsMore {
        workspace: u64,
        edits: u64,
    },
}

impl From<RewriteFault> for Stop {
    fn from(fault: RewriteFault) -> Self {
        Self::Fault(fault)
    }
}

/// A message with tags: the unpacked message, and the parts that are sent.
struct Tagged<'r> {
    message: Message,
    parts: Vec<Part>,
    /// Coding of `received`: the message as it was received, without its gRPC frame.
    coding: Coding,
    received: std::borrow::Cow<'r, [Bytes]>,
}

impl Rewrite {
    /// Makes the body with `tags` in it, compressed if it was received compressed.
    ///
    /// # Panics
    /// If the rewrite panics.
    pub(super) async fn tagged(self, tags: Arc<Tags>) -> Result<MadeBody, Reason> {
        let made = self.run(move |rewrite, workspace, edits| rewrite.make(workspace, edits, &tags));
        match made.await {
            Ok(made) => made.map_err(RewriteFault::reason),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down, and so is the delivery.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }

    /// Unpacks the body and makes sure that at least one of `tags` can be put into it. The record keeps the
    /// message for its first delivery, unless memory is scarce: a record may wait long.
    pub(super) async fn check(
        self,
        tags: Arc<[Arc<Tags>]>,
    ) -> Result<Result<(), RewriteFault>, JoinError> {
        self.run(move |rewrite, workspace, edits| rewrite.read_for(workspace, edits, &tags))
            .await
    }

    /// Runs `step` with a workspace, and again with a larger workspace whenever the step needs more.
    async fn run<T: Send + 'static>(
        self,
        step: impl Fn(&Self, Workspace, u64) -> Result<T, Stop> + Clone + Send + 'static,
    ) -> Result<Result<T, RewriteFault>, JoinError> {
        let (mut bytes, mut edits) = (self.first_workspace(), LEAST_EDITS);
        loop {
            let Some(workspace) = self.record.budget().workspace(bytes).await else {
                return Ok(Err(RewriteFault::TooLarge));
            };
            let (rewrite, step) = (self.clone(), step.clone());
            match spawn_blocking(move || step(&rewrite, workspace, edits)).await? {
                Ok(result) => return Ok(Ok(result)),
                Err(Stop::Fault(fault)) => return Ok(Err(fault)),
                Err(Stop::NeedsMore {
                    workspace,
                    edits: more,
                }) => (bytes, edits) = (workspace, more),
            }
        }
    }

    /// Bytes of the first workspace: the decoded text, the message and the new text. The end of a gzip body states the
    /// length of the message, which may be wrong.
    fn first_workspace(&self) -> u64 {
        let frames = self.record.body().frames();
        let message = match self.coding {
            Coding::Gzip => gzip::expected_length_of(frames) as u64,
            Coding::Identity => self.record.len(),
        };
        let bytes = self.text_bytes() + message + LEAST_EDITS;
        bytes.min(self.largest())
    }

    fn largest(&self) -> u64 {
        self.record.budget().largest_workspace()
    }

    /// Bytes of memory for the text of gRPC-Web after decoding; 0 for other framings.
    fn text_bytes(&self) -> u64 {
        match self.encoding.framing() {
            Framing::GrpcWebText => self.record.len().div_ceil(4) * 3,
            Framing::Plain | Framing::Grpc | Framing::GrpcWeb => 0,
        }
    }

    /// Unpacks the message, and adds the first set of `tags` that can be added.
    fn read(
        &self,
        workspace: &mut Workspace,
        edits: u64,
        tags: &[Arc<Tags>],
    ) -> Result<Tagged<'_>, Stop> {
        let text = self.text_bytes();
        grow(workspace, text, edits)?;
        let unframed = unframe(self.encoding, self.coding, self.record.body().frames());
        let (coding, received) = unframed.map_err(RewriteFault::Unreadable)?;
        let message = self.unpack(workspace, edits, coding, &received)?;
        let length = message.bytes().len() as u64;

        let most = self.largest().min(text + length + MAX_MESSAGE_BYTES);
        let wanted = text + length + edits.max(length);
        grow(workspace, wanted.min(most), edits)?;
        workspace.shrink_to(wanted);
        let limit = wanted.min(most).saturating_sub(text + length) / 2;
        let message = message.with_limit(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut result = Err(Undecodable::Json);
        for tags in tags {
            result = message.tagged_parts(tags);
            if result.is_ok() {
                break;
            }
        }
        match result {
            Ok(parts) => Ok(Tagged {
                message,
                parts,
                coding,
                received,
            }),
            Err(Undecodable::TooLarge { .. }) if wanted < most => {
                let edits = edits.max(length).saturating_mul(4);
                let workspace = (text + length + edits).min(most);
                Err(Stop::NeedsMore { workspace, edits })
            }
            Err(fault) => Err(self
                .fault(fault, most < text + length + MAX_MESSAGE_BYTES)
                .into()),
        }
    }

    fn unpack(
        &self,
        workspace: &mut Workspace,
        edits: u64,
        coding: Coding,
        received: &[Bytes],
    ) -> Result<Message, Stop> {
        let kept = MadeBodies::of(&self.record).and_then(MadeBodies::take_message);
        if let Some((message, _reservation)) = kept {
            grow(
                workspace,
                self.text_bytes() + message.bytes().len() as u64,
                edits,
            )?;
            return Ok(message);
        }
        let text = self.text_bytes();
        let most = self.largest().saturating_sub(text).min(MAX_MESSAGE_BYTES);
        let mut refused = None;
        let room = Room {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            allow: &mut |bytes| {
                let wanted = text + bytes as u64;
                let grown = workspace.grow_to(wanted);
                refused = (!grown).then_some(wanted);
                grown
            },
        };
        let message = Message::unpack(self.encoding, coding, received, room);
        message.map_err(|fault| match (fault, refused) {
            (Undecodable::TooLarge { .. }, Some(workspace)) => Stop::NeedsMore { workspace, edits },
            (fault, _) => self.fault(fault, most < MAX_MESSAGE_BYTES).into(),
        })
    }

    /// The fault of the rewrite. `tight`: the memory limit set the bound, not [`MAX_MESSAGE_BYTES`].
    fn fault(&self, fault: Undecodable, tight: bool) -> RewriteFault {
        match fault {
            Undecodable::TooLarge { .. } if tight => RewriteFault::TooLarge,
            fault => RewriteFault::Unreadable(fault),
        }
    }

    fn read_for(
        &self,
        mut workspace: Workspace,
        edits: u64,
        tags: &[Arc<Tags>],
    ) -> Result<(), Stop> {
        let message = self.read(&mut workspace, edits, tags)?.message;
        let budget = self.record.budget();
        if !budget.is_scarce()
            && let Some(bodies) = MadeBodies::of(&self.record)
            && let Some(reservation) = budget.reserve(message.bytes().len() as u64)
        {
            bodies.keep_message(message, reservation);
        }
        Ok(())
    }

    fn make(
        &self,
        mut workspace: Workspace,
        edits: u64,
        tags: &Arc<Tags>,
    ) -> Result<MadeBody, Stop> {
        let tagged = self.read(&mut workspace, edits, std::slice::from_ref(tags))?;
        let fresh: u64 = tagged.parts.iter().map(fresh_bytes).sum();
        let coding = tagged.coding;
        let (pieces, bytes) = match coding {
            Coding::Identity => {
                drop(tagged.message);
                // The pieces are slices of the record, which is charged already, and the new text between them.
                let pieces = assemble(&tagged.received, tagged.parts);
                let list = pieces.len() * size_of::<Bytes>();
                (pieces, self.text_bytes() + fresh + list as u64)
            }
            Coding::Gzip => {
                let packed = self.pack(tagged, fresh)?;
                let bytes = packed.len() as u64;
                (vec![packed], bytes)
            }
        };
        let memory = match self.record.reserve(bytes) {
            Some(reservation) => Memory::Records(reservation),
            None => {
                grow(&mut workspace, bytes, edits)?;
                workspace.shrink_to(bytes);
                Memory::Workspace(workspace)
            }
        };
        Ok(MadeBody {
            coding,
            pieces,
            memory,
        })
    }

    /// Compresses the changed message. If the budget for records has no room for the result beside the message, the
    /// message is dropped first, and unpacked a second time while the result is written.
    fn pack(&self, tagged: Tagged<'_>, fresh: u64) -> Result<Bytes, Stop> {
        let estimate = self.record.len() + self.record.len() / 8 + fresh + 1024;
        let Some(_room) = self.record.reserve(estimate) else {
            drop(tagged.message);
            let packed = gzip::repack(&tagged.received, &tagged.parts);
            return Ok(packed.map_err(RewriteFault::Unreadable)?);
        };
        let message = std::slice::from_ref(tagged.message.bytes());
        let pieces = assemble(message, tagged.parts);
        Ok(gzip::compress(&pieces))
    }
}

fn grow(workspace: &mut Workspace, bytes: u64, edits: u64) -> Result<(), Stop> {
    match workspace.grow_to(bytes) {
        true => Ok(()),
        false => Err(Stop::NeedsMore {
            workspace: bytes,
            edits,
        }),
    }
}

fn fresh_bytes(part: &Part) -> u64 {
    match part {
        Part::Fresh(text) => text.len() as u64,
        Part::Kept(_) => 0,
    }
}
