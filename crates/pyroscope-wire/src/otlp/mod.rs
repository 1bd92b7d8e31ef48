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
//! is looked up. Keys are sent as they are configured: the tag `service_name` does not become the
//! attribute `service.name`, out of which Pyroscope makes the label `service_name`.

mod json;
mod proto;

use crate::message::Schema;
use crate::surface::{Row, last_segments_are};

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
