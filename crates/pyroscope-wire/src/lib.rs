//! The protocols of Pyroscope: which requests carry profiles ([`Surface`]), how the name of a
//! profile is parsed ([`Name`]), how a target's tags are put into the name or into the body
//! ([`Tags`], [`Message`]), how times are read ([`time`]), how an error response is written
//! ([`error_response`]) and what an error response of a target means ([`refusal`]).
//!
//! Everything here is a pure function of bytes. This crate opens no sockets, reads no clock, writes
//! no log and uses no other crate of pyrotee; the time of receipt is a parameter. Every function
//! accepts whatever a client may send and returns a value or a fault; none of them panics on input.
//!
//! Two generations of servers are described: *legacy* (Pyroscope 0.37 and before) and *modern*
//! (Grafana Pyroscope 1.0 and later). Where they differ, a [`Dialect`] parameter selects one.

mod byte_set;
mod contents;
mod describe;
pub mod encoding;
pub mod error_response;
pub mod grpc;
pub mod grpc_web;
pub mod gzip;
pub mod ingest;
pub mod message;
pub mod name;
mod otlp;
pub mod proto;
mod push;
pub mod query;
mod raw_path;
#[cfg(test)]
mod reference_model;
pub mod refusal;
pub mod scrape;
mod splice;
pub mod surface;
pub mod tags;
pub mod time;
mod undecodable;

pub use describe::{Description, Format};
pub use encoding::{Coding, Encoding};
pub use message::Message;
pub use name::{Dialect, Name, NameFault};
pub use surface::{Surface, SurfacePaths};
pub use tags::{TagFault, TagKeys, Tags};
pub use undecodable::{FrameFault, ProtobufFault, Undecodable};
