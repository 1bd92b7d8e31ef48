//! The message of a Push or OTLP request: read once, tagged for every target that has tags.

use std::borrow::Cow;

use bytes::Bytes;

use crate::describe::{Description, Format};
use crate::encoding::{Coding, Encoding, Framing, Syntax};
use crate::grpc::Frame;
use crate::gzip;
use crate::tags::Tags;
use crate::undecodable::{FrameFault, Undecodable};

/// A decoded message, to be shared by all targets.
///
/// Reading undoes framing and compression and no more: whether the message itself can be
/// understood shows when it is tagged or described.
#[derive(Debug, Clone)]
pub struct Message {
    encoding: Encoding,
    bytes: Bytes,
    limit_bytes: usize,
}

impl Message {
    /// Takes the message out of a body, which may lie in several pieces. A single piece that is not
    /// compressed is not copied.
    ///
    /// `coding` is the `Content-Encoding`, or the `grpc-encoding` of a gRPC call. An empty message
    /// needs no gzip around it.
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
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let bytes = match (coding, &*pieces) {
            (Coding::Gzip, _) if length > 0 => gzip::decompress(&pieces, limit_bytes)?.into(),
            _ if length > limit_bytes => return Err(Undecodable::TooLarge { limit_bytes }),
            (_, [piece]) => piece.clone(),
            _ => pieces.concat().into(),
        };
        Ok(Self {
            encoding,
            bytes,
            limit_bytes,
        })
    }

    /// The message, decoded.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The `Content-Type` of [`Message::tagged`], which has no `Content-Encoding`.
    pub fn content_type(&self) -> &'static str {
        self.encoding.content_type()
    }

    /// The message with the tags in every series (Push) or every resource (OTLP), as slices of the
    /// message with new text between them. Compressing it is up to the caller: see
    /// [`gzip::compress`].
    ///
    /// Labels of a tag's name are replaced, all other bytes stay: profiles, unknown fields, their
    /// order and spelling. A message without series stays as it is.
    ///
    /// # Errors
    /// The message is not what the surface expects, or the new text and what it takes to hold the
    /// pieces come to more memory than the limit that the message was read with.
    pub fn tagged(&self, tags: &Tags) -> Result<Vec<Bytes>, Undecodable> {
        if tags.is_empty() {
            return Ok(vec![self.bytes.clone()]);
        }
        (self.encoding.schema().upsert)(&self.bytes, tags, self.limit_bytes)
    }

    /// Describes the message by its first series.
    ///
    /// This and [`Message::profiles`] are for tools: what they return may take more memory than
    /// the message itself.
    ///
    /// # Errors
    /// The message is not what the surface expects.
    pub fn describe(&self) -> Result<Description, Undecodable> {
        let mut contents = (self.encoding.schema().contents)(&self.bytes)?;
        contents.labels.sort();
        let app = contents
            .labels
            .iter()
            .find(|(name, value)| name == self.encoding.app() && !value.is_empty());
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

    /// What tags never change, to compare what different targets got: for Push every `raw_profile`
    /// (in JSON its text, quotes and base64 included), for OTLP every `ScopeProfiles`, then the
    /// dictionary. All are slices of the message.
    ///
    /// # Errors
    /// The message is not what the surface expects.
    pub fn profiles(&self) -> Result<impl Iterator<Item = Bytes> + use<>, Undecodable> {
        let contents = (self.encoding.schema().contents)(&self.bytes)?;
        Ok(contents.profiles.into_iter())
    }
}

/// The message of a body and its coding. A message in a gRPC frame is taken out of the frame; a body without
/// a frame is the message itself. Nothing is decompressed.
///
/// # Errors
/// A gRPC call is not exactly one frame, or its frame is compressed and `coding` does not say how.
pub fn unframe(
    encoding: Encoding,
    coding: Coding,
    body: &[Bytes],
) -> Result<(Coding, Cow<'_, [Bytes]>), Undecodable> {
    if encoding.framing() == Framing::Plain {
        return Ok((coding, Cow::Borrowed(body)));
    }
    let frame = Frame::read(body)?;
    let coding = match (frame.compressed, coding) {
        (false, _) => Coding::Identity,
        (true, Coding::Gzip) => Coding::Gzip,
        (true, Coding::Identity) => return Err(FrameFault::CodingMissing.into()),
    };
    Ok((coding, Cow::Owned(frame.message)))
}

#[cfg(test)]
mod tests;
