//! What of a record goes to a target: its query or its body with the target's tags.
//!
//! Bodies of Push and OTLP are rewritten off the request path and off its threads, unpacked once for
//! all targets and packed once for each distinct set of tags (ADR 0005). A target without tags gets
//! the bytes that came.

mod decoded;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use pyroscope_wire::encoding::{Coding, Encoding, Framing};
use pyroscope_wire::grpc::GrpcFrame;
use pyroscope_wire::{Surface, Tags, ingest};
use pyrotee_queue::{Head, Reason, Record};

use decoded::Decoded;

/// The parts of an upload that depend on the record.
#[derive(Debug)]
pub struct Content {
    /// How the profile came in, and goes out.
    pub surface: Surface,
    /// Without `?`; empty if there is none.
    pub query: String,
    /// `Content-Type`, if there is one.
    pub content_type: Option<HeaderValue>,
    /// `Content-Encoding`, if the body is packed.
    pub content_encoding: Option<HeaderValue>,
    /// In pieces that are never empty.
    pub body: Vec<Bytes>,
}

impl Content {
    /// What a target without tags gets of a record: the bytes that came, but for times that would be
    /// read at delivery and for the frame of a gRPC message.
    ///
    /// # Errors
    /// Why no target can be sent it.
    pub fn untagged(record: &Record) -> Result<Self, Reason> {
        let (surface, head) = (surface(record)?, record.head());
        if surface == Surface::Ingest {
            return Self::with_name(record, &Tags::default());
        }
        let encoding = encoding(surface, head)?;
        let (content_encoding, body) = as_received(encoding, head, record.body().frames())?;
        Ok(Self::with_body(
            surface,
            head,
            encoding,
            content_encoding,
            body,
        ))
    }

    /// What `record` comes to with `tags`, or why it cannot be sent.
    pub(crate) async fn of(record: &Arc<Record>, tags: &Arc<Tags>) -> Result<Self, Reason> {
        if tags.is_empty() {
            return Self::untagged(record);
        }
        match surface(record)? {
            Surface::Ingest => Self::with_name(record, tags),
            surface @ (Surface::Push | Surface::Otlp) => {
                Self::with_labels(record, surface, tags).await
            }
        }
    }

    /// Tags go into the name, the body stays as it is.
    fn with_name(record: &Record, tags: &Tags) -> Result<Self, Reason> {
        let head = record.head();
        let query = ingest::target_query(&head.query, tags, head.received);
        Ok(Self {
            surface: Surface::Ingest,
            query: query.map_err(|_fault| Reason::InvalidName)?,
            content_type: value(head.content_type.as_deref()),
            content_encoding: value(head.content_encoding.as_deref()),
            body: record.body().frames().to_vec(),
        })
    }

    /// Tags go into the message, the query stays as it is.
    async fn with_labels(
        record: &Arc<Record>,
        surface: Surface,
        tags: &Arc<Tags>,
    ) -> Result<Self, Reason> {
        let head = record.head();
        let encoding = encoding(surface, head)?;
        let coding = Coding::of(head.content_encoding.as_deref());
        let coding = coding.map_err(|_fault| Reason::Undecodable)?;
        let delivery = Decoded::tagged(record, encoding, coding, tags).await?;
        let packed = delivery.coding.content_encoding();
        let packed = packed.map(HeaderValue::from_static);
        Ok(Self::with_body(
            surface,
            head,
            encoding,
            packed,
            delivery.body,
        ))
    }

    fn with_body(
        surface: Surface,
        head: &Head,
        encoding: Encoding,
        content_encoding: Option<HeaderValue>,
        body: Vec<Bytes>,
    ) -> Self {
        Self {
            surface,
            query: head.query.to_string(),
            content_type: Some(HeaderValue::from_static(encoding.content_type())),
            content_encoding,
            body,
        }
    }

    /// Whether the body has no byte.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }
}

fn surface(record: &Record) -> Result<Surface, Reason> {
    Surface::from_id(record.head().surface.0).ok_or(Reason::Undecodable)
}

fn encoding(surface: Surface, head: &Head) -> Result<Encoding, Reason> {
    Encoding::of(surface, head.content_type.as_deref()).ok_or(Reason::Undecodable)
}

/// The message as it came, out of its gRPC frame, and how it is coded: nobody here has to know how.
fn as_received(
    encoding: Encoding,
    head: &Head,
    frames: &[Bytes],
) -> Result<(Option<HeaderValue>, Vec<Bytes>), Reason> {
    let coding = value(head.content_encoding.as_deref());
    match encoding.framing() {
        Framing::Plain => Ok((coding, frames.to_vec())),
        Framing::Grpc => {
            let frame = GrpcFrame::read(frames).map_err(|_fault| Reason::Undecodable)?;
            match (frame.compressed, coding) {
                (false, _) => Ok((None, frame.message)),
                (true, Some(coding)) => Ok((Some(coding), frame.message)),
                (true, None) => Err(Reason::Undecodable),
            }
        }
    }
}

fn value(bytes: Option<&[u8]>) -> Option<HeaderValue> {
    bytes.and_then(|bytes| HeaderValue::from_bytes(bytes).ok())
}
