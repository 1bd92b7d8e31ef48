//! Recognises the `server.yml` of a Pyroscope 0.37, of which pyrotee takes the blocks `remote-write` and
//! `scrape-configs` alone.

use pyrotee_yaml::Node;

/// Top-level keys of Pyroscope 0.37 that pyrotee does not have (`pkg/config/config.go`, `Server`).
const KEYS: [&str; 40] = [
    "admin-socket-path",
    "adhoc-data-path",
    "adhoc-max-file-size",
    "analytics-opt-out",
    "api-bind-addr",
    "auth",
    "badger-log-level",
    "badger-no-truncate",
    "base-url",
    "cache-dictionary-size",
    "cache-dimension-size",
    "cache-evict-threshold",
    "cache-evict-volume",
    "cache-segment-size",
    "cache-tree-size",
    "config",
    "cors",
    "database",
    "disable-pprof-endpoint",
    "enable-experimental-adhoc-ui",
    "enable-experimental-admin",
    "exemplars-batch-duration",
    "exemplars-batch-queue-size",
    "exemplars-batch-size",
    "hide-applications",
    "log-level",
    "max-nodes-render",
    "max-nodes-serialization",
    "metrics-export-rules",
    "no-adhoc-ui",
    "no-self-profiling",
    "out-of-space-threshold",
    "remote-read",
    "retention",
    "retention-levels",
    "sample-rate",
    "storage-path",
    "storage-queue-size",
    "tls-certificate-file",
    "tls-key-file",
];

/// Keys of a file from which on the file counts as one of Pyroscope: a single one may be a slip in a file of pyrotee.
const ENOUGH: usize = 2;

/// Most keys that the fault names.
const MAX_NAMED: usize = 8;

/// Whether `key` is a top-level key of Pyroscope's own.
pub(crate) fn has(key: &str) -> bool {
    KEYS.contains(&key)
}

/// The line of the first key of Pyroscope's own and the text of the fault, if the whole file is one of Pyroscope.
pub(crate) fn fault(root: &Node) -> Option<(usize, String)> {
    let theirs = root.entries().iter().filter(|entry| has(&entry.key));
    let theirs: Vec<_> = theirs.collect();
    let first = theirs.first().filter(|_| theirs.len() >= ENOUGH)?;
    let named: Vec<_> = theirs.iter().map(|it| it.key.as_str()).collect();
    let more = match named.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named: Vec<_> = named.into_iter().take(MAX_NAMED).collect();
    Some((
        first.line,
        format!(
            "this is the configuration of a Pyroscope server: keep the blocks `remote-write` and `scrape-configs` in a file \
             of their own for pyrotee, and leave Pyroscope's own keys out ({}{more})",
            named.join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ROOT, Shape};

    #[test]
    fn no_key_is_one_of_pyrotee() {
        let Shape::Section(keys) = &ROOT else {
            panic!("the root is a section");
        };
        assert!(keys.iter().all(|key| !has(key.name)));
    }
}
