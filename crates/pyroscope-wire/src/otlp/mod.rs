//! `POST …/v1development/profiles`, and the same as a gRPC call: profiles of OpenTelemetry.
//!
//! The schema, as far as it matters (opentelemetry-proto, `v1development`):
//!
//! ```text
//! ExportProfilesServiceRequest { 1: repeated ResourceProfiles, 2: ProfilesDictionary }
//! ResourceProfiles             { 1: Resource, 2: repeated ScopeProfiles, 3: string schema_url }
//! Resource                     { 1: repeated KeyValue attributes, 2: uint32 dropped_attributes }
//! KeyValue                     { 1: string key, 2: AnyValue value, 3: int32 key_strindex }
//! ProfilesDictionary           { 5: repeated string string_table }
//! ```
//!
//! A tag becomes a string attribute of every resource, and every attribute of its name goes; a
//! resource that is not there is added. A key may also be a number in the table of strings, which
//! is looked up. The tag `service_name` is sent as the attribute `service.name`: Pyroscope makes the
//! label out of that one, and refuses a profile that has the label twice
//! (`pkg/ingester/otlp/ingest_handler.go`). All other keys are sent as they are configured.

mod json;
mod proto;

use std::borrow::Cow;

use crate::row::{Row, last_segments_are};
use crate::schema::Schema;
use crate::tags::Tags;

pub(crate) const ROW: Row = Row {
    id: 3,
    name: "otlp",
    canonical_path: "/v1development/profiles",
    recognise: |path| {
        last_segments_are(path, &["v1development", "profiles"])
            || last_segments_are(path, &[GRPC_SERVICE, "Export"])
    },
};

const GRPC_SERVICE: &str = "opentelemetry.proto.collector.profiles.v1development.ProfilesService";

/// The attribute that names the application.
pub(crate) const APP: &str = "service.name";

/// The label that Pyroscope makes out of [`APP`].
const APP_LABEL: &str = "service_name";

pub(crate) const PROTO: Schema = Schema {
    upsert: |source, tags, limit| proto::upsert(source, &attributes(tags), limit),
    contents: proto::contents,
};

pub(crate) const JSON: Schema = Schema {
    upsert: |source, tags, limit| json::upsert(source, &attributes(tags), limit),
    contents: json::contents,
};

/// The tags as attributes.
fn attributes(tags: &Tags) -> Cow<'_, Tags> {
    match tags.has(APP_LABEL.as_bytes()) {
        true => Cow::Owned(tags.with_key(APP_LABEL, APP)),
        false => Cow::Borrowed(tags),
    }
}

#[cfg(test)]
mod tests;
