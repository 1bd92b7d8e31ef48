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
//! A tag replaces all labels of its name in every series. The tags are put before the other labels:
//! Pyroscope sorts labels, and refuses a series that has a name twice. Duplicates of other names stay,
//! so that a target refuses or accepts them as the local upstream does. Push has no grammar for labels,
//! so values may contain `,` and `}`.

pub(crate) mod json;
pub(crate) mod proto;

use crate::raw_path::last_segments_are;

/// The label that holds the name of the application.
pub(crate) const APP_LABEL: &str = "service_name";

/// Whether a `POST` to this raw path is for Push.
pub(crate) fn recognises(path: &str) -> bool {
    last_segments_are(path, &["push.v1.PusherService", "Push"])
}

#[cfg(test)]
mod tests;
