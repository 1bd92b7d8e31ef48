//! `POST …/v1development/profiles`, `POST …/v1/profiles`, and the gRPC calls of both versions: the surface for
//! profiles of OpenTelemetry.
//!
//! The schema, as far as it matters (opentelemetry-proto, `v1development`):
//!
//! ```text
//! ExportProfilesServiceRequest { 1: repeated ResourceProfiles, 2: ProfilesDictionary }
//! ResourceProfiles             { 1: Resource, 2: repeated ScopeProfiles, 3: string schema_url }
//! Resource                     { 1: repeated KeyValue attributes, 2: uint32 dropped_attributes }
//! KeyValue                     { 1: string key, 2: AnyValue value, 3: int32 key_strindex }
//! ProfilesDictionary           { 5: repeated string string_table, 6: repeated KeyValueAndUnit attribute_table }
//! KeyValueAndUnit              { 1: int32 key_strindex, 2: AnyValue value, 3: int32 unit_strindex }
//! ```
//!
//! A tag becomes a string attribute of every resource and replaces all attributes of its name; a missing
//! resource is added. A key may also be an index into the string table. The tag `service_name` is sent as the
//! attribute `service.name`, because Pyroscope makes the label `service_name` from that attribute, and refuses
//! a profile that has the label twice (`pkg/ingester/otlp/ingest_handler.go`). All other keys are sent as they
//! are configured.
//!
//! A sample may have a `service.name` of its own, which Pyroscope prefers to the `service.name` of the
//! resource. A sample names its attributes by their index in the attribute table, so the tag also replaces the
//! value of every entry of that table whose key is `service.name`. In earlier schemas the table held
//! `KeyValue`s, with the key as a string in field 1; the values of these are replaced as well.

pub(crate) mod json;
pub(crate) mod proto;

use std::borrow::Cow;

use crate::raw_path::last_segments_are;
use crate::tags::Tags;

/// A version of the protocol, as paths name it.
#[derive(Debug)]
pub(crate) struct Version {
    /// The segment before `profiles` in the path of OTLP over HTTP.
    segment: &'static str,
    grpc_service: &'static str,
}

pub(crate) const V1_DEVELOPMENT: Version = Version {
    segment: "v1development",
    grpc_service: "opentelemetry.proto.collector.profiles.v1development.ProfilesService",
};

pub(crate) const V1: Version = Version {
    segment: "v1",
    grpc_service: "opentelemetry.proto.collector.profiles.v1.ProfilesService",
};

/// The attribute that holds the name of the application.
pub(crate) const APP_ATTRIBUTE: &str = "service.name";

/// The label that Pyroscope makes from [`APP_ATTRIBUTE`].
const APP_LABEL: &str = "service_name";

/// Whether a `POST` to this raw path is for this version of OTLP, over HTTP or as a gRPC call.
pub(crate) fn recognises(path: &str, version: &Version) -> bool {
    last_segments_are(path, &[version.segment, "profiles"])
        || last_segments_are(path, &[version.grpc_service, "Export"])
}

/// The tags as they are sent: the tag `service_name` has the key `service.name`.
fn with_app_attribute(tags: &Tags) -> Cow<'_, Tags> {
    match tags.has(APP_LABEL.as_bytes()) {
        true => Cow::Owned(tags.with_key(APP_LABEL, APP_ATTRIBUTE)),
        false => Cow::Borrowed(tags),
    }
}

#[cfg(test)]
mod tests;
