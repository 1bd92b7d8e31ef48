//! `POST …/push.v1.PusherService/Push`: the surface of Grafana Pyroscope, whose labels are in the
//! body.
//!
//! The schema, as far as it matters (`api/push/v1/push.proto`, `api/types/v1/types.proto`):
//!
//! ```text
//! PushRequest      { 1: repeated RawProfileSeries series }
//! RawProfileSeries { 1: repeated LabelPair labels, 2: repeated RawSample samples }
//! LabelPair        { 1: string name, 2: string value }
//! RawSample        { 1: bytes raw_profile, 2: string ID }
//! ```
//!
//! A tag takes every label of its name out of every series and is put before the ones that stay:
//! Pyroscope sorts labels, and refuses a series that has a name twice. Other names keep even
//! their duplicates, so that a target judges them as the local upstream does. Labels have no
//! grammar here; values with `,` or `}` are fine.

mod json;
mod proto;

use crate::row::{Row, last_segments_are};
use crate::schema::Schema;

pub(crate) const ROW: Row = Row {
    id: 2,
    name: "push",
    canonical_path: "/push.v1.PusherService/Push",
    recognise: |path| last_segments_are(path, &["push.v1.PusherService", "Push"]),
};

/// The label that names the application.
pub(crate) const APP: &str = "service_name";

pub(crate) const PROTO: Schema = Schema {
    upsert: proto::upsert,
    contents: proto::contents,
};

pub(crate) const JSON: Schema = Schema {
    upsert: json::upsert,
    contents: json::contents,
};

#[cfg(test)]
mod tests;
