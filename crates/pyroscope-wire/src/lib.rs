//! What Pyroscope speaks, and nothing else: which requests carry profiles, how the name of a
//! profile is read, how tags are put into it or into the body, how times are understood, what a
//! refusal looks like and what it means.
//!
//! Everything here is a pure function of bytes. No sockets, no clock, no logging, no other crate of
//! pyrotee; times of receipt are parameters. All functions take whatever a client may send and
//! return a value or a fault: none of them panics on input.
//!
//! Two generations of servers are described: *legacy* (Pyroscope 0.37 and before) and *modern*
//! (Grafana Pyroscope 1.0 and later). Where they differ, [`Dialect`] says which is meant.

pub mod answer;
mod byte_set;
mod describe;
pub mod encoding;
pub mod grpc;
pub mod gzip;
pub mod ingest;
pub mod message;
pub mod name;
mod otlp;
mod push;
pub mod query;
#[cfg(test)]
mod reference_model;
pub mod refusal;
mod row;
mod schema;
mod splice;
pub mod surface;
pub mod tags;
pub mod time;
mod undecodable;

pub use describe::{Description, Format};
pub use encoding::{Coding, Encoding};
pub use message::Message;
pub use name::{Dialect, Name, NameFault};
pub use surface::Surface;
pub use tags::{TagFault, Tags};
pub use undecodable::{FrameFault, ProtobufFault, Undecodable};
