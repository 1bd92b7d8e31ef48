//! The content of an upload: a record's query and body, with the target's tags in one of them.
//!
//! Bodies of Push and OTLP are rewritten on threads for blocking work, once for each distinct set of tags (ADR 0005).
//! A target without tags is sent the bytes as they were received.

mod check;
mod made;
mod rewrite;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pyroscope_wire::encoding::{Coding, Encoding, Framing};
use pyroscope_wire::grpc::GrpcFrame;
use pyroscope_wire::{FrameFault, Surface, Tags, Undecodable, ingest};
use pyrotee_queue::{Head, Reason, Record};

pub use check::ContentCheck;
pub(crate) use made::BodyUse;
use made::MadeBodies;
use rewrite::Rewrite;
use tokio::sync::Semaphore;

/// The parts of an upload that depend on the record.
#[derive(Debug)]
pub struct Content {
    /// The surface on which the profile was received, and to which it is sent.
    pub surface: Surface,
    /// The query without `?`; empty if there is no query.
    pub query: String,
    /// Value of `Content-Type`; `None` if the header is not sent.
    pub content_type: Option<HeaderValue>,
    /// Value of `Content-Encoding`; `None` if the body is not compressed.
    pub content_encoding: Option<HeaderValue>,
    /// Further headers that give the body its meaning. A header of the same name in the target's settings wins.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body in pieces that are never empty.
    pub body: Vec<Bytes>,
}

/// A content, and the use that keeps its rewritten body in memory and charged; `None` if the body is the record's own.
pub(crate) type Prepared = (Content, Option<BodyUse>);

impl Content {
    /// The content for a target without tags: the bytes as they were received, except that absent and relative times
    /// become absolute, from the time of receipt, and that a gRPC message loses its frame.
    ///
    /// # Errors
    /// The reason to drop the record, if it can be sent to no target.
    pub fn untagged(record: &Record) -> Result<Self, Reason> {
        let (surface, head) = (surface(record)?, record.head());
        if surface == Surface::Ingest {
            return Self::with_name(record, &Tags::default());
        }
        let encoding = encoding(surface, head)?;
        let (content_encoding, body) = as_received(encoding, head, record.body().frames())
            .map_err(|_fault| Reason::Undecodable)?;
        Ok(Self::with_body(
            surface,
            head,
            encoding,
            content_encoding,
            body,
        ))
    }

    /// The content for a target with `tags`; `Err` is the reason to drop the record. `rewrites` has one permit for
    /// each body that the target may have rewritten at once.
    ///
    /// Waits for a permit and for memory. The time does not depend on the target.
    pub(crate) async fn of(
        record: &Arc<Record>,
        tags: &Arc<Tags>,
        rewrites: &Arc<Semaphore>,
    ) -> Result<Prepared, Reason> {
        match surface(record)? {
            Surface::Ingest => Ok((Self::with_name(record, tags)?, None)),
            surface @ (Surface::Push | Surface::Otlp | Surface::OtlpV1) => {
                let encoding = encoding(surface, record.head())?;
                // The text of gRPC-Web is decoded where bodies are unpacked: off the threads that serve requests,
                // within a workspace of the budget.
                if tags.is_empty() && encoding.framing() != Framing::GrpcWebText {
                    return Ok((Self::untagged(record)?, None));
                }
                Self::with_labels(record, surface, encoding, tags, rewrites).await
            }
        }
    }

    /// Puts the tags into the name; the body stays unchanged.
    fn with_name(record: &Record, tags: &Tags) -> Result<Self, Reason> {
        let head = record.head();
        let query = ingest::target_query(&head.query, tags, head.received);
        Ok(Self {
            surface: Surface::Ingest,
            query: query.map_err(|_fault| Reason::InvalidName)?,
            content_type: value(head.content_type.as_deref()),
            content_encoding: value(head.content_encoding.as_deref()),
            headers: Self::meaning_headers(Surface::Ingest, head),
            body: record.body().frames().to_vec(),
        })
    }

    /// Puts the tags into the message; the query stays unchanged.
    async fn with_labels(
        record: &Arc<Record>,
        surface: Surface,
        encoding: Encoding,
        tags: &Arc<Tags>,
        rewrites: &Arc<Semaphore>,
    ) -> Result<Prepared, Reason> {
        let head = record.head();
        let coding = Coding::of(head.content_encoding.as_deref());
        let coding = coding.map_err(|_fault| Reason::Undecodable)?;
        let bodies = MadeBodies::of(record).ok_or(Reason::Undecodable)?;
        let made = bodies.get(tags, || async {
            let permit = Arc::clone(rewrites).acquire_owned().await;
            let rewrite = Rewrite {
                record: Arc::clone(record),
                encoding,
                coding,
                permit: Arc::new(permit.expect("the semaphore is never closed")),
            };
            rewrite.tagged(Arc::clone(tags)).await
        });
        let made = made.await?;
        let coding = made.body.coding.content_encoding();
        let coding = coding.map(HeaderValue::from_static);
        let pieces = made.body.pieces.clone();
        let content = Self::with_body(surface, head, encoding, coding, pieces);
        Ok((content, Some(made)))
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
            headers: Self::meaning_headers(surface, head),
            body,
        }
    }

    /// The headers of `head` that are in the surface's closed list. Other headers are never sent, even if the record
    /// holds them.
    pub fn meaning_headers(surface: Surface, head: &Head) -> Vec<(HeaderName, HeaderValue)> {
        let names = surface.meaning_headers().iter();
        let headers = names.filter_map(|name| {
            let value = value(head.headers.get(name))?;
            Some((HeaderName::from_static(name), value))
        });
        headers.collect()
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

/// The `Content-Encoding` and the message as they were received, without a gRPC frame. The coding may be one that
/// pyrotee does not know.
fn as_received(
    encoding: Encoding,
    head: &Head,
    frames: &[Bytes],
) -> Result<(Option<HeaderValue>, Vec<Bytes>), Undecodable> {
    let coding = value(head.content_encoding.as_deref());
    match encoding.framing() {
        Framing::Plain => Ok((coding, frames.to_vec())),
        framing @ (Framing::Grpc | Framing::GrpcWeb | Framing::GrpcWebText) => {
            let frame = GrpcFrame::of(framing, frames)?;
            match (frame.compressed, coding) {
                (false, _) => Ok((None, frame.message)),
                (true, Some(coding)) => Ok((Some(coding), frame.message)),
                (true, None) => Err(FrameFault::CodingMissing.into()),
            }
        }
    }
}

fn value(bytes: Option<&[u8]>) -> Option<HeaderValue> {
    bytes.and_then(|bytes| HeaderValue::from_bytes(bytes).ok())
}
