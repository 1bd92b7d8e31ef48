//! The encoding of a Push or OTLP body, read from its headers.
//!
//! A request that Pyroscope itself does not accept as a unary call (connect streams, any other
//! `Content-Type`) has no [`Encoding`]: it is relayed and not teed.

use bytes::Bytes;

use crate::contents::MessageContents;
use crate::surface::Surface;
use crate::tags::Tags;
use crate::undecodable::Undecodable;
use crate::{otlp, push};

/// Surface, framing and syntax of a Push or OTLP body. It is made from a `Content-Type`, so that only
/// combinations exist that Pyroscope accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    surface: MessageSurface,
    framing: Framing,
    syntax: Syntax,
}

/// The surfaces whose body is one message, which holds the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum MessageSurface {
    Push,
    Otlp,
}

/// The framing around a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// No framing: the body is the message (connect unary, OTLP over HTTP).
    Plain,
    /// A length-prefixed message. `grpc-encoding` names its coding, not `Content-Encoding`.
    Grpc,
    /// gRPC-Web: a request is framed as in [`Framing::Grpc`]; the trailers of its response are in the
    /// body.
    GrpcWeb,
    /// gRPC-Web as text: [`Framing::GrpcWeb`] in base64.
    GrpcWebText,
}

impl Framing {
    /// The header that names the compression of the body, or of the message in its frame.
    pub const fn coding_header(self) -> &'static str {
        match self {
            Self::Plain => "content-encoding",
            Self::Grpc | Self::GrpcWeb | Self::GrpcWebText => "grpc-encoding",
        }
    }
}

/// The syntax of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    Proto,
    Json,
}

/// The compression of a body, or of the message in a gRPC frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Reads a `Content-Type` as Pyroscope does for this surface. `None` if Pyroscope refuses it, and
    /// for `/ingest`, whose bodies are not messages.
    ///
    /// OTLP over HTTP compares types byte by byte and accepts no parameters. Push uses connect, which
    /// ignores case and accepts `charset=utf-8` after a JSON type.
    pub fn of(surface: Surface, content_type: Option<&[u8]>) -> Option<Self> {
        let text = std::str::from_utf8(content_type?).ok()?;
        let (surface, (framing, syntax)) = match surface {
            Surface::Ingest => return None,
            Surface::Push => (MessageSurface::Push, connect(text)?),
            Surface::Otlp | Surface::OtlpV1 => (MessageSurface::Otlp, otlp(text)?),
        };
        Some(Self {
            surface,
            framing,
            syntax,
        })
    }

    /// The framing around the message.
    pub fn framing(self) -> Framing {
        self.framing
    }

    /// The syntax of the message.
    pub fn syntax(self) -> Syntax {
        self.syntax
    }

    /// The `Content-Type` with which the message is sent to a target: connect unary or OTLP over HTTP,
    /// also for a message that was received in a gRPC or gRPC-Web frame.
    pub fn content_type(self) -> &'static str {
        match (self.surface, self.syntax) {
            (MessageSurface::Push, Syntax::Proto) => "application/proto",
            (MessageSurface::Otlp, Syntax::Proto) => "application/x-protobuf",
            (MessageSurface::Push | MessageSurface::Otlp, Syntax::Json) => "application/json",
        }
    }

    /// Adds tags to a message of this encoding, as [`Message::tagged`](crate::Message::tagged) does.
    pub(crate) fn upsert(
        self,
        source: &Bytes,
        tags: &Tags,
        limit_bytes: usize,
    ) -> Result<Vec<Bytes>, Undecodable> {
        match (self.surface, self.syntax) {
            (MessageSurface::Push, Syntax::Proto) => push::proto::upsert(source, tags, limit_bytes),
            (MessageSurface::Push, Syntax::Json) => push::json::upsert(source, tags, limit_bytes),
            (MessageSurface::Otlp, Syntax::Proto) => otlp::proto::upsert(source, tags, limit_bytes),
            (MessageSurface::Otlp, Syntax::Json) => otlp::json::upsert(source, tags, limit_bytes),
        }
    }

    /// Parses a message of this encoding.
    pub(crate) fn contents(self, source: &Bytes) -> Result<MessageContents, Undecodable> {
        match (self.surface, self.syntax) {
            (MessageSurface::Push, Syntax::Proto) => push::proto::contents(source),
            (MessageSurface::Push, Syntax::Json) => push::json::contents(source),
            (MessageSurface::Otlp, Syntax::Proto) => otlp::proto::contents(source),
            (MessageSurface::Otlp, Syntax::Json) => otlp::json::contents(source),
        }
    }

    /// The label (Push) or attribute (OTLP) that holds the name of the application.
    pub(crate) fn app_label(self) -> &'static str {
        match self.surface {
            MessageSurface::Push => push::APP_LABEL,
            MessageSurface::Otlp => otlp::APP_ATTRIBUTE,
        }
    }

    /// A short word for metric labels and logs, from a closed set.
    pub fn as_str(self) -> &'static str {
        match (self.framing, self.syntax) {
            (Framing::Plain, Syntax::Proto) => "proto",
            (Framing::Plain, Syntax::Json) => "json",
            (Framing::Grpc, Syntax::Proto) => "grpc",
            (Framing::Grpc, Syntax::Json) => "grpc_json",
            (Framing::GrpcWeb, Syntax::Proto) => "grpc_web",
            (Framing::GrpcWeb, Syntax::Json) => "grpc_web_json",
            (Framing::GrpcWebText, Syntax::Proto | Syntax::Json) => "grpc_web_text",
        }
    }
}

impl Coding {
    /// Reads `Content-Encoding`, or `grpc-encoding` of a gRPC call. An absent header means identity.
    ///
    /// # Errors
    /// The value is neither `identity` nor `gzip`, for example a list of codings.
    pub fn of(header: Option<&[u8]>) -> Result<Self, Undecodable> {
        let name = header.unwrap_or_default().trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            Ok(Self::Identity)
        } else if name.eq_ignore_ascii_case(b"gzip") {
            Ok(Self::Gzip)
        } else {
            Err(Undecodable::Coding)
        }
    }

    /// The value of `Content-Encoding`; `None` for identity, which needs no header.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

fn connect(content_type: &str) -> Option<(Framing, Syntax)> {
    let (essence, parameters) = match content_type.split_once(';') {
        Some((essence, parameters)) => (essence.trim(), Some(parameters.trim())),
        None => (content_type.trim(), None),
    };
    let is_utf8 = parameters.is_some_and(|text| text.eq_ignore_ascii_case("charset=utf-8"));
    let found = match essence.to_ascii_lowercase().as_str() {
        "application/proto" => (Framing::Plain, Syntax::Proto),
        "application/json" => (Framing::Plain, Syntax::Json),
        "application/grpc" | "application/grpc+proto" => (Framing::Grpc, Syntax::Proto),
        "application/grpc+json" => (Framing::Grpc, Syntax::Json),
        "application/grpc-web" | "application/grpc-web+proto" => (Framing::GrpcWeb, Syntax::Proto),
        "application/grpc-web+json" => (Framing::GrpcWeb, Syntax::Json),
        "application/grpc-web-text" | "application/grpc-web-text+proto" => {
            (Framing::GrpcWebText, Syntax::Proto)
        }
        _ => return None,
    };
    let fits = parameters.is_none() || (is_utf8 && found.1 == Syntax::Json);
    fits.then_some(found)
}

fn otlp(content_type: &str) -> Option<(Framing, Syntax)> {
    match content_type {
        "application/x-protobuf" | "application/protobuf" => Some((Framing::Plain, Syntax::Proto)),
        "application/json" => Some((Framing::Plain, Syntax::Json)),
        "application/grpc" | "application/grpc+proto" => Some((Framing::Grpc, Syntax::Proto)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
