//! Paths that look like the path of a surface and are not.

use percent_encoding::percent_decode_str;

/// The last segments of the paths of all surfaces, and of paths that clients and gateways use instead.
const LAST_SEGMENTS: [&str; 3] = ["ingest", "Push", "profiles"];

/// The gRPC service of Push, in any package.
const SERVICE: &[u8] = b"pusherservice";

/// Whether a `POST` to this raw path was probably meant for a surface: its last segment is `ingest`,
/// `Push` or `profiles`, or the path contains `PusherService`.
///
/// Case and trailing slashes do not matter, because both are common mistakes. The result is also `true` for the
/// paths of the surfaces themselves.
pub fn resembles_surface(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let is = |segment: &str, wanted: &str| {
        let bytes = percent_decode_str(segment).map(|byte| byte.to_ascii_lowercase());
        bytes.eq(wanted.bytes().map(|byte| byte.to_ascii_lowercase()))
    };
    if LAST_SEGMENTS.iter().any(|wanted| is(last, wanted)) {
        return true;
    }
    // A shorter path cannot contain the service and is not decoded.
    path.len() >= SERVICE.len() && contains_service(path)
}

fn contains_service(path: &str) -> bool {
    let mut window = [0; SERVICE.len()];
    percent_decode_str(path).any(|byte| {
        window.rotate_left(1);
        if let Some(last) = window.last_mut() {
            *last = byte.to_ascii_lowercase();
        }
        window == SERVICE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_for_a_surface_resembles_one() {
        for path in [
            "/ingest/",
            "/INGEST",
            "/a/%69ngest//",
            "/Push",
            "/push",
            "/api/profiles",
            "/v2/profiles",
            "/pusherService/Push",
            "/push.v2.PusherService/Push2",
            "/push.v1.PusherService/GetFeatureFlags",
            "/a/push%2ev1.Pusher%53ervice/x",
        ] {
            assert!(resembles_surface(path), "{path}");
        }
    }

    #[test]
    fn other_routes_resemble_none() {
        for path in [
            "",
            "/",
            "*",
            "/ingest/x",
            "/ingests",
            "/querier.v1.QuerierService/SelectSeries",
            "/profiles/top",
            "/Pusher/Service",
            "/debuginfo.v1alpha1.DebuginfoService/Upload/ab",
        ] {
            assert!(!resembles_surface(path), "{path}");
        }
    }
}
