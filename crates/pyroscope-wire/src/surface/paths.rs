//! The paths at which a target serves the surfaces, where they differ from Pyroscope's.

use thiserror::Error;

use super::Surface;

/// Paths that replace [`Surface::canonical_path`] for one target. Like the canonical path, they are appended to
/// the path prefix of the target's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SurfacePaths {
    /// One entry per name of a surface; `None` for the canonical path.
    paths: [Option<String>; Surface::NAMES.len()],
}

/// Why a path is refused. `Display` states the problem and then the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathFault {
    #[error("does not begin with `/`; write the whole path, such as /ingest")]
    NoSlash,
    #[error("has a query or a fragment; write the path alone")]
    Query,
    #[error("has a character that a path cannot have; percent-encode it")]
    Character,
    #[error("has more than {MAX_PATH_BYTES} bytes; shorten it")]
    Length,
}

/// Longest path, in bytes: the query, with the tags in it, needs the rest of the 65,534 bytes that a
/// request target may have.
const MAX_PATH_BYTES: usize = 1024;

impl SurfacePaths {
    /// Sets the path of the surfaces with this name: `otlp` is both of its versions.
    ///
    /// # Errors
    /// The path cannot be sent.
    pub fn set(&mut self, name: &str, path: &str) -> Result<(), PathFault> {
        check(path)?;
        let index = Surface::NAMES.iter().position(|known| *known == name);
        if let Some(own) = index.and_then(|index| self.paths.get_mut(index)) {
            *own = Some(path.to_owned());
        }
        Ok(())
    }

    /// The path of a surface: the path that was set, or else the canonical path.
    pub fn of(&self, surface: Surface) -> &str {
        let own = self.own().find(|(name, _)| *name == surface.name());
        own.map_or(surface.canonical_path(), |(_, path)| path)
    }

    /// The paths that were set, by the names of their surfaces.
    pub fn own(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = Surface::NAMES.into_iter().zip(&self.paths);
        named.filter_map(|(name, path)| Some((name, path.as_deref()?)))
    }
}

fn check(path: &str) -> Result<(), PathFault> {
    // The characters of a path (RFC 3986 §3.3), and other characters that Go's servers accept in a path.
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>".contains(&byte);
    if !path.starts_with('/') {
        Err(PathFault::NoSlash)
    } else if path.contains(['?', '#']) {
        Err(PathFault::Query)
    } else if !path.bytes().all(allowed) {
        Err(PathFault::Character)
    } else if path.len() > MAX_PATH_BYTES {
        Err(PathFault::Length)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_replaces_that_of_its_surface_alone() {
        let mut paths = SurfacePaths::default();
        for surface in Surface::ALL {
            assert_eq!(paths.of(*surface), surface.canonical_path());
        }
        paths.set("push", "/gateway/push").unwrap();
        paths.set("otlp", "/otlp").unwrap();
        let of = |surface| paths.of(surface);
        assert_eq!(of(Surface::Ingest), "/ingest");
        assert_eq!(of(Surface::Push), "/gateway/push");
        assert_eq!((of(Surface::Otlp), of(Surface::OtlpV1)), ("/otlp", "/otlp"));
        let own: Vec<_> = paths.own().collect();
        assert_eq!(own, [("push", "/gateway/push"), ("otlp", "/otlp")]);
    }

    #[test]
    fn a_path_that_cannot_be_sent_is_a_fault() {
        for (path, fault) in [
            ("", PathFault::NoSlash),
            ("ingest", PathFault::NoSlash),
            ("http://h/ingest", PathFault::NoSlash),
            ("/ingest?a=b", PathFault::Query),
            ("/ingest#a", PathFault::Query),
            ("/in gest", PathFault::Character),
            ("/in\r\ngest", PathFault::Character),
            ("/ingést", PathFault::Character),
            (&format!("/{}", "a".repeat(1024)), PathFault::Length),
        ] {
            assert_eq!(
                SurfacePaths::default().set("ingest", path),
                Err(fault),
                "{path:?}"
            );
        }
        for path in ["/", "/a/b/", "/%C3%A9", "/a{b}:c,d;e"] {
            assert_eq!(SurfacePaths::default().set("ingest", path), Ok(()));
        }
    }
}
