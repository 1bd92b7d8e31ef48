//! The message of a Push or OTLP request: a message is decoded first, and can then be tagged for several sets
//! of tags.

mod parts;

use std::borrow::Cow;

use bytes::Bytes;

use crate::describe::{Description, Format};
use crate::encoding::{Coding, Encoding, Framing, Syntax};
use crate::grpc::GrpcFrame;
use crate::gzip::{self, Room};
use crate::tags::Tags;
use crate::undecodable::{FrameFault, Undecodable};

pub use parts::{Part, assemble};

/// A decoded Push or OTLP message, to which the tags of different targets can be added.
///
/// [`Message::read`] removes framing and compression and does not parse the message: a malformed
/// message is an error of [`Message::tagged`] and [`Message::describe`].
#[derive(Debug, Clone)]
pub struct Message {
    encoding: Encoding,
    coding: Coding,
    bytes: Bytes,
    limit_bytes: usize,
}

impl Message {
    /// Decodes the message of a body, which may consist of several pieces. A single piece that is not
    /// compressed is not copied.
    ///
    /// `coding` is the `Content-Encoding`, or the `grpc-encoding` of a gRPC call. An empty message is
    /// accepted as it is, even if `coding` is gzip.
    ///
    /// # Errors
    /// The message has more than `limit_bytes`, or framing or compression is damaged.
    pub fn read(
        encoding: Encoding,
        coding: Coding,
        body: &[Bytes],
        limit_bytes: usize,
    ) -> Result<Self, Undecodable> {
        let (coding, pieces) = unframe(encoding, coding, body)?;
        let room = Room {
            most: limit_bytes,
            allow: &mut |_| true,
        };
        Self::unpack(encoding, coding, &pieces, room)
    }

    /// Decodes a message that was taken out of its frame by [`unframe`], within `room`. Asks for room before it
    /// allocates memory. A single piece that is not compressed is shared and needs no room.
    ///
    /// # Errors
    /// The message has more bytes than `room` allows, or the compression is damaged.
    pub fn unpack(
        encoding: Encoding,
        coding: Coding,
        pieces: &[Bytes],
        room: Room<'_>,
    ) -> Result<Self, Undecodable> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let limit_bytes = room.most;
        let bytes = match (coding, pieces) {
            (Coding::Gzip, _) if length > 0 => gzip::decompress_within(pieces, room)?.into(),
            _ if length > limit_bytes => return Err(Undecodable::TooLarge { limit_bytes }),
            (_, [piece]) => piece.clone(),
            _ if (room.allow)(length) => pieces.concat().into(),
            _ => return Err(Undecodable::TooLarge { limit_bytes: 0 }),
        };
        Ok(Self {
            encoding,
            coding,
            bytes,
            limit_bytes,
        })
    }

    /// The coding in which the message was received. A message in a gRPC frame may be plain although its
    /// call declares a coding.
    pub fn received_coding(&self) -> Coding {
        self.coding
    }

    /// Sets the memory that [`Message::tagged`] may take beside the message: `limit_bytes` for the new text,
    /// and again `limit_bytes` for an index of the strings of the message.
    #[must_use]
    pub fn with_limit(self, limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            ..self
        }
    }

    /// Adds the tags as [`Message::tagged`] does, and returns parts that name ranges of the message instead of
    /// holding its memory.
    ///
    /// # Errors
    /// As [`Message::tagged`].
    pub fn tagged_parts(&self, tags: &Tags) -> Result<Vec<Part>, Undecodable> {
        let pieces = self.tagged(tags)?;
        Ok(parts::of(&self.bytes, pieces))
    }

    /// The decoded message.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The `Content-Type` with which the result of [`Message::tagged`] is sent. No `Content-Encoding` is
    /// needed.
    pub fn content_type(&self) -> &'static str {
        self.encoding.content_type()
    }

    /// The message with the tags in every series (Push) or every resource (OTLP): slices of the
    /// message, with new text between them. It is not compressed; see [`gzip::compress`].
    ///
    /// A label with the name of a tag is replaced. All other bytes stay unchanged: profiles, unknown
    /// fields, order and spelling. A message without series stays unchanged as a whole.
    ///
    /// # Errors
    /// The message does not follow the schema of the surface, or the new text and the list of pieces
    /// take more memory than the limit given to [`Message::read`].
    pub fn tagged(&self, tags: &Tags) -> Result<Vec<Bytes>, Undecodable> {
        if tags.is_empty() {
            return Ok(vec![self.bytes.clone()]);
        }
        self.encoding.upsert(&self.bytes, tags, self.limit_bytes)
    }

    /// Describes the message by its first series.
    ///
    /// [`Message::describe`] and [`Message::profiles`] are for tools: the results may take more memory
    /// than the message itself.
    ///
    /// # Errors
    /// The message does not follow the schema of the surface.
    pub fn describe(&self) -> Result<Description, Undecodable> {
        let mut contents = self.encoding.contents(&self.bytes)?;
        contents.labels.sort();
        let app = contents
            .labels
            .iter()
            .find(|(name, value)| name == self.encoding.app_label() && !value.is_empty());
        Ok(Description {
            app: app.map_or("unknown_service", |(_, app)| app).to_owned(),
            labels: contents.labels,
            format: match self.encoding.syntax() {
                Syntax::Proto => Format::Proto,
                Syntax::Json => Format::Json,
            },
            series: contents.series,
        })
    }

    /// The parts that tags never change, to compare the uploads of different targets: for Push every
    /// `raw_profile` (in JSON its text, with quotes and base64), for OTLP every `ScopeProfiles`, then
    /// the dictionary without its attribute table. All parts are slices of the message.
    ///
    /// # Errors
    /// The message does not follow the schema of the surface.
    pub fn profiles(&self) -> Result<impl Iterator<Item = Bytes> + use<>, Undecodable> {
        let contents = self.encoding.contents(&self.bytes)?;
        Ok(contents.profiles.into_iter())
    }
}

/// The message of a body and its coding. A message in a gRPC frame is taken out of the frame; a body without
/// a frame is the message itself. Nothing is decompressed, and only the text of gRPC-Web is copied.
///
/// # Errors
/// A gRPC call is not exactly one frame, or its frame is compressed and `coding` is identity, or the text of
/// gRPC-Web is not base64.
pub fn unframe(
    encoding: Encoding,
    coding: Coding,
    body: &[Bytes],
) -> Result<(Coding, Cow<'_, [Bytes]>), Undecodable> {
    if encoding.framing() == Framing::Plain {
        return Ok((coding, Cow::Borrowed(body)));
    }
    let frame = GrpcFrame::of(encoding.framing(), body)?;
    let coding = match (frame.compressed, coding) {
        (false, _) => Coding::Identity,
        (true, Coding::Gzip) => Coding::Gzip,
        (true, Coding::Identity) => return Err(FrameFault::CodingMissing.into()),
    };
    Ok((coding, Cow::Owned(frame.message)))
}

#[cfg(test)]
mod tests;
