//! The table of ingestion surfaces: the requests that carry profiles.
//!
//! To add one, write its module with a `Row` and name it in the enum, in [`Surface::ALL`] and in
//! `Surface::row`. A prefix before the surface (`/pyroscope/ingest`, the base path of an SDK) does
//! not matter: only what Pyroscope itself routes on is looked at.

use crate::row::Row;
use crate::{ingest, otlp, push};

/// One way in which profiles reach a Pyroscope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST …/ingest`, tags in the `name` query parameter.
    Ingest,
    /// `POST …/push.v1.PusherService/Push`, tags in the labels of every series in the body.
    Push,
    /// `POST …/v1development/profiles` or its gRPC call, tags in the attributes of every resource in
    /// the body.
    Otlp,
}

impl Surface {
    /// Every surface, for metric labels and for tests.
    pub const ALL: &'static [Self] = &[Self::Ingest, Self::Push, Self::Otlp];

    fn row(self) -> &'static Row {
        match self {
            Self::Ingest => &ingest::ROW,
            Self::Push => &push::ROW,
            Self::Otlp => &otlp::ROW,
        }
    }

    /// Tells which surface a request is for, if any.
    ///
    /// `path` is the raw path of the request target, without the query. Every surface takes `POST`
    /// and nothing else; anything that is not recognised is relayed and not teed.
    pub fn recognise(method: &str, path: &str) -> Option<Self> {
        if method != "POST" {
            return None;
        }
        Self::ALL
            .iter()
            .copied()
            .find(|surface| (surface.row().recognise)(path))
    }

    /// The number of the surface in stored records. It never changes its meaning.
    pub fn id(self) -> u8 {
        self.row().id
    }

    /// The surface with this number, if this version knows it.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|surface| surface.id() == id)
    }

    /// A short word for metric labels and logs.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The path that every Pyroscope serves it at, to be appended to a target's own prefix.
    pub fn canonical_path(self) -> &'static str {
        self.row().canonical_path
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
        for (path, surface) in [
            ("/push.v1.PusherService/Push", Surface::Push),
            ("/a//b/push.v1.PusherService/Push", Surface::Push),
            ("/push%2ev1.PusherService/%50ush", Surface::Push),
            ("/v1development/profiles", Surface::Otlp),
            ("/otlp/v1development/profiles", Surface::Otlp),
            (&format!("/{SERVICE}/Export"), Surface::Otlp),
            (&format!("/base/{SERVICE}/Export"), Surface::Otlp),
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
            "/v1/profiles",
            "/v1development/profiles/x",
            "/v1development/Export",
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
        assert_eq!(rows, [(1, "ingest"), (2, "push"), (3, "otlp")]);
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
