//! The limit of open files and sockets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of file descriptors to the hard one. Must run before the numbers of connections and of open
/// segments of the spool are derived from the limit. If the kernel refuses, the limit stays unchanged.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, soft = limit.current, "failed to raise the soft limit of file descriptors");
    }
}
