//! The limit of open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of file descriptors to the hard one. It comes before anything that opens many: connections
/// and the segments of the spool share out what the limit allows. A kernel that refuses leaves the limit as it is.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, soft = limit.current, "the soft limit of file descriptors stays");
    }
}
