//! The ingestion surfaces: the endpoints that take profiles.
//!
//! To add a surface, write its module, and add a variant to [`Surface`] and to [`Surface::ALL`]. The
//! compiler then names every `match` that needs an arm for the new surface.
//!
//! Pyroscope routes on the last segments of a path, so a prefix before them (`/pyroscope/ingest`,
//! the base path of an SDK) does not matter here either.

mod lookalike;
mod paths;

use crate::{ingest, otlp, push};

pub use lookalike::resembles_surface;
pub use paths::{PathFault, SurfacePaths};

/// An endpoint of Pyroscope that takes profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST …/ingest`. Tags go into the `name` query parameter.
    Ingest,
    /// `POST …/push.v1.PusherService/Push`. Tags go into the labels of every series in the body.
    Push,
    /// `POST …/v1development/profiles`, or the gRPC call `Export` of this version. Tags go into the attributes
    /// of every resource in the body.
    Otlp,
    /// `POST …/v1/profiles`, or the gRPC call `Export` of this version: the stable version of
    /// [`Surface::Otlp`].
    ///
    /// This version is a variant of its own, because a profile is sent to targets under the version under which
    /// it was received. Both versions share the code and the name, but have their own circuit breakers: a
    /// target may serve only one of them.
    OtlpV1,
}

impl Surface {
    /// Every surface.
    pub const ALL: &'static [Self] = &[Self::Ingest, Self::Push, Self::Otlp, Self::OtlpV1];

    /// Every name of a surface, for metric labels.
    pub const NAMES: [&'static str; 3] = ["ingest", "push", "otlp"];

    /// The surface that a request is for, or `None` for a request that carries no profiles, which is
    /// relayed and not teed.
    ///
    /// `path` is the raw path of the request target, without the query. Every surface takes `POST`
    /// and no other method.
    pub fn recognise(method: &str, path: &str) -> Option<Self> {
        if method != "POST" {
            return None;
        }
        Self::ALL
            .iter()
            .copied()
            .find(|surface| surface.recognises(path))
    }

    /// Whether a `POST` to this raw path is for the surface.
    fn recognises(self, path: &str) -> bool {
        match self {
            Self::Ingest => ingest::recognises(path),
            Self::Push => push::recognises(path),
            Self::Otlp => otlp::recognises(path, &otlp::V1_DEVELOPMENT),
            Self::OtlpV1 => otlp::recognises(path, &otlp::V1),
        }
    }

    /// The number of the surface in records on disk. A number is never given to another surface.
    pub const fn id(self) -> u8 {
        match self {
            Self::Ingest => 1,
            Self::Push => 2,
            Self::Otlp => 3,
            Self::OtlpV1 => 4,
        }
    }

    /// The surface with this number; `None` if this version has no surface of that number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|surface| surface.id() == id)
    }

    /// A short word for metric labels and logs; the same for both versions of OTLP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Push => "push",
            Self::Otlp | Self::OtlpV1 => "otlp",
        }
    }

    /// The request headers that give a body its meaning, in lower case: a target gets them with the body. The
    /// list is closed, so that no further header of a client reaches a target.
    ///
    /// The messages of OTLP change between development versions without another content type or package
    /// name; `OTLP-Profiles-Development-Version` tells them apart (opentelemetry-proto#857). gRPC metadata
    /// has the same name.
    pub const fn meaning_headers(self) -> &'static [&'static str] {
        match self {
            Self::Ingest | Self::Push => &[],
            Self::Otlp | Self::OtlpV1 => &["otlp-profiles-development-version"],
        }
    }

    /// The path at which every Pyroscope serves the surface, to be appended to the path prefix of a
    /// target's address unless the target has its own [`SurfacePaths`].
    pub const fn canonical_path(self) -> &'static str {
        match self {
            Self::Ingest => "/ingest",
            Self::Push => "/push.v1.PusherService/Push",
            Self::Otlp => "/v1development/profiles",
            Self::OtlpV1 => "/v1/profiles",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ingest_is_recognised_behind_any_prefix() {
        for path in [
            "/ingest",
            "/pyroscope/ingest",
            "//ingest",
            "/%69ngest",
            "/a/b/%69%6E%67est",
        ] {
            assert_eq!(
                Surface::recognise("POST", path),
                Some(Surface::Ingest),
                "{path}"
            );
        }
    }

    #[test]
    fn push_and_otlp_are_recognised_by_their_last_two_segments() {
        const SERVICE: &str =
            "opentelemetry.proto.collector.profiles.v1development.ProfilesService";
        const SERVICE_V1: &str = "opentelemetry.proto.collector.profiles.v1.ProfilesService";
        for (path, surface) in [
            ("/push.v1.PusherService/Push", Surface::Push),
            ("/a//b/push.v1.PusherService/Push", Surface::Push),
            ("/push%2ev1.PusherService/%50ush", Surface::Push),
            ("/v1development/profiles", Surface::Otlp),
            ("/otlp/v1development/profiles", Surface::Otlp),
            (&format!("/{SERVICE}/Export"), Surface::Otlp),
            (&format!("/base/{SERVICE}/Export"), Surface::Otlp),
            ("/v1/profiles", Surface::OtlpV1),
            ("/otlp/v1/%70rofiles", Surface::OtlpV1),
            (&format!("/base/{SERVICE_V1}/Export"), Surface::OtlpV1),
        ] {
            assert_eq!(Surface::recognise("POST", path), Some(surface), "{path}");
        }
    }

    #[test]
    fn what_pyroscope_does_not_route_is_not_recognised() {
        for path in [
            "/ingest/",
            "/INGEST",
            "/ingestx",
            "/xingest",
            "/",
            "",
            "ingest",
            "*",
            "/%2Fingest",
            "/ingest%zz",
            "/ingest%",
            "/ingest+",
            "/ingest/x",
            "/%2569ngest",
            "push.v1.PusherService/Push",
            "/Push",
            "/push.v1.PusherService/Push/",
            "/push.v1.PusherService//Push",
            "/push.v1.PusherService/GetFeatureFlags",
            "/xpush.v1.PusherService/Push",
            "/push.v1.pusherservice/push",
            "/profiles",
            "/v2/profiles",
            "/xv1/profiles",
            "/v1development/profiles/x",
            "/v1development/Export",
            "/v1/Export",
            "/opentelemetry.proto.collector.profiles.v1xProfilesService/Export",
            "/debuginfo.v1alpha1.DebuginfoService/Upload/ab",
        ] {
            assert_eq!(Surface::recognise("POST", path), None, "{path}");
        }
    }

    #[test]
    fn only_post_carries_profiles() {
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "post", ""] {
            assert_eq!(Surface::recognise(method, "/ingest"), None, "{method}");
        }
    }

    #[test]
    fn every_surface_is_found_by_its_number_and_at_its_canonical_path() {
        for surface in Surface::ALL.iter().copied() {
            assert_eq!(Surface::from_id(surface.id()), Some(surface));
            assert_eq!(
                Surface::recognise("POST", surface.canonical_path()),
                Some(surface)
            );
        }
        assert_eq!(Surface::from_id(0), None);
        let rows = Surface::ALL
            .iter()
            .map(|surface| (surface.id(), surface.name()));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows, [(1, "ingest"), (2, "push"), (3, "otlp"), (4, "otlp")]);
        for surface in Surface::ALL {
            assert!(Surface::NAMES.contains(&surface.name()));
        }
    }

    #[test]
    fn names_of_headers_are_in_lower_case_as_http_2_has_them() {
        let names = Surface::ALL
            .iter()
            .flat_map(|surface| surface.meaning_headers());
        for name in names {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(name.bytes().all(plain), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_judged_without_a_panic(path in any::<String>()) {
            if let Some(surface) = Surface::recognise("POST", &path) {
                prop_assert!(Surface::ALL.contains(&surface));
            }
        }
    }
}
