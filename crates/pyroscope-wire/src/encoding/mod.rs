//! How a body of Push or OTLP is written, as its headers say.
//!
//! What Pyroscope itself would not take for a unary call (gRPC-web, connect streams, any other
//! `Content-Type`) has no [`Encoding`]: such a request is relayed and not teed.

use crate::schema::Schema;
use crate::surface::Surface;
use crate::undecodable::Undecodable;
use crate::{otlp, push};

/// Surface, framing and syntax of a body; made from a `Content-Type`, so all of them fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding {
    messages: Messages,
    framing: Framing,
    syntax: Syntax,
}

/// The surfaces whose bodies are messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Messages {
    Push,
    Otlp,
}

/// What surrounds a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Connect unary or OTLP over HTTP: the message is the body.
    Plain,
    /// A length-prefixed message; its coding is in `grpc-encoding`, not in `Content-Encoding`.
    Grpc,
}

/// In what a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    Proto,
    Json,
}

/// How a body, or the message in a gRPC frame, is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    Identity,
    Gzip,
}

impl Encoding {
    /// Reads a `Content-Type` as Pyroscope does for this surface; `None` if it would refuse it, and
    /// for `/ingest`, whose bodies are not messages.
    ///
    /// OTLP over HTTP wants its types to the letter, without parameters. Push, which is connect,
    /// compares without regard to case and takes `charset=utf-8` beside JSON.
    pub fn of(surface: Surface, content_type: Option<&[u8]>) -> Option<Self> {
        let text = std::str::from_utf8(content_type?).ok()?;
        let (messages, framing, syntax) = match surface {
            Surface::Ingest => return None,
            Surface::Push => {
                let (framing, syntax) = connect(text)?;
                (Messages::Push, framing, syntax)
            }
            Surface::Otlp => {
                let (framing, syntax) = otlp(text)?;
                (Messages::Otlp, framing, syntax)
            }
        };
        Some(Self {
            messages,
            framing,
            syntax,
        })
    }

    /// What surrounds the message.
    pub fn framing(self) -> Framing {
        self.framing
    }

    /// In what the message is written.
    pub fn syntax(self) -> Syntax {
        self.syntax
    }

    /// The `Content-Type` of the delivery: connect unary or OTLP over HTTP, whatever came in.
    pub fn content_type(self) -> &'static str {
        match (self.messages, self.syntax) {
            (Messages::Push, Syntax::Proto) => "application/proto",
            (Messages::Otlp, Syntax::Proto) => "application/x-protobuf",
            (Messages::Push | Messages::Otlp, Syntax::Json) => "application/json",
        }
    }

    /// How to read and tag the message.
    pub(crate) fn schema(self) -> Schema {
        match (self.messages, self.syntax) {
            (Messages::Push, Syntax::Proto) => push::PROTO,
            (Messages::Push, Syntax::Json) => push::JSON,
            (Messages::Otlp, Syntax::Proto) => otlp::PROTO,
            (Messages::Otlp, Syntax::Json) => otlp::JSON,
        }
    }

    /// The label that names the application.
    pub(crate) fn app(self) -> &'static str {
        match self.messages {
            Messages::Push => push::APP,
            Messages::Otlp => otlp::APP,
        }
    }

    /// A short word for metric labels and logs, out of a closed set.
    pub fn as_str(self) -> &'static str {
        match (self.framing, self.syntax) {
            (Framing::Plain, Syntax::Proto) => "proto",
            (Framing::Plain, Syntax::Json) => "json",
            (Framing::Grpc, Syntax::Proto) => "grpc",
            (Framing::Grpc, Syntax::Json) => "grpc_json",
        }
    }
}

impl Coding {
    /// Reads `Content-Encoding`, or `grpc-encoding` of a gRPC call.
    ///
    /// # Errors
    /// Anything but `identity` and `gzip`, a list of codings included.
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

    /// The value of `Content-Encoding`; none for identity, as usual.
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
