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
use pyroscope_wire::grpc::Frame;
use pyroscope_wire::{Surface, Tags, ingest};
use pyrotee_queue::{Head, Reason, Record};

use decoded::Decoded;

/// The parts of an upload that depend on the record.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) surface: Surface,
    /// Without `?`; empty if there is none.
    pub(crate) query: String,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) content_encoding: Option<HeaderValue>,
    /// In pieces that are never empty.
    pub(crate) body: Vec<Bytes>,
}

impl Content {
    /// What `record` comes to with `tags`, or why it cannot be sent.
    pub(crate) async fn of(record: &Arc<Record>, tags: &Arc<Tags>) -> Result<Self, Reason> {
        let surface = Surface::from_id(record.head().surface.0).ok_or(Reason::Undecodable)?;
        match surface {
            Surface::Ingest => Self::with_name(record, tags),
            Surface::Push | Surface::Otlp => Self::with_labels(record, surface, tags).await,
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
        let encoding = Encoding::of(surface, head.content_type.as_deref());
        let encoding = encoding.ok_or(Reason::Undecodable)?;
        let frames = record.body().frames();
        let (content_encoding, body) = if tags.is_empty() {
            as_received(encoding, head, frames)?
        } else {
            let coding = Coding::of(head.content_encoding.as_deref());
            let coding = coding.map_err(|_fault| Reason::Undecodable)?;
            let delivery = Decoded::tagged(record, encoding, coding, tags).await?;
            let packed = delivery
                .coding
                .content_encoding()
                .map(HeaderValue::from_static);
            (packed, delivery.body)
        };
        Ok(Self {
            surface,
            query: head.query.to_string(),
            content_type: Some(HeaderValue::from_static(encoding.content_type())),
            content_encoding,
            body,
        })
    }

    /// Length of the body, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.body.iter().map(|piece| piece.len() as u64).sum()
    }
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
            let frame = Frame::read(frames).map_err(|_fault| Reason::Undecodable)?;
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
