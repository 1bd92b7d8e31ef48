//! The section `shared`: the backlog that relays share on NATS JetStream.

mod auth;
mod servers;

use std::time::Duration;

use pyrotee_yaml::values;

use super::{directory, spool::at_least, tls};
use crate::{
    reader::Scope,
    settings::{Shared, SharedPolicy},
};

/// Words for `policy`.
const POLICIES: &[(&str, SharedPolicy)] = &[
    ("manage", SharedPolicy::Manage),
    ("bind", SharedPolicy::Bind),
];

/// The only value of `mode`.
pub(crate) const MODE: &str = "overflow";

/// The least size of a stream, in bytes: room for one message of the default size limit of a server.
const LEAST_BYTES: u64 = 1024 * 1024;

const LEAST_AFTER: Duration = Duration::from_secs(1);
const MOST_AFTER: Duration = Duration::from_secs(3600);

/// Most replicas that a stream can have.
const MOST_REPLICAS: usize = 5;

/// Longest `prefix`, in bytes: the names of streams and subjects begin with it.
const LONGEST_PREFIX: usize = 32;

const EXAMPLE: &str = "/var/lib/pyrotee/spool";

impl SharedPolicy {
    /// The value of the key `policy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        values::word_for(self, POLICIES)
    }
}

/// The shared backlog; the inner `None` if no key of the section is set. A section without `servers` is a fault.
pub(super) fn shared(root: &Scope<'_>) -> Option<Option<Shared>> {
    if root.is_faulty("shared") {
        return None;
    }
    let scope = &root.scope("shared");
    if !is_given(scope) {
        return Some(None);
    }
    let stands_alone = !tls::is_given(&root.scope("spool"));
    if !stands_alone {
        root.fault(
            "spool",
            "stands beside `shared`, with which profiles are not queued on disk; remove it, and write its directory \
             under `shared.drain-spool`, from where its profiles are still sent",
        );
    }
    let auth = auth::auth(scope);
    // Given keys of TLS turn TLS on, also if all of them have the value of their default.
    let has_tls = scope.is_faulty("tls") || tls::is_given(&scope.scope("tls"));
    let servers = servers::servers(scope, has_tls);
    let needs_tls = has_tls || servers.iter().flatten().any(|server| server.tls);
    let tls = match needs_tls {
        true => tls::client(scope).map(Some),
        false => Some(None),
    };
    let prefix = scope.parse("prefix", prefix);
    let mode = scope.parse("mode", mode);
    let after = scope.parse("after", |text| match values::duration(text)? {
        after if (LEAST_AFTER..=MOST_AFTER).contains(&after) => Ok(after),
        _ => Err("is not between 1s and 1h; write a duration such as 10s".to_owned()),
    });
    let policy = scope.parse("policy", |text| values::word(text, POLICIES));
    let replicas = scope.parse("replicas", |text| {
        match u8::try_from(values::count(text, MOST_REPLICAS)?) {
            Ok(replicas) if replicas > 0 => Ok(replicas),
            _ => Err("is no number of replicas; write 1 to 5".to_owned()),
        }
    });
    let max_bytes = scope.parse("max-bytes", stream_bytes);
    let drain_spool = match scope.text("drain-spool") {
        None if scope.is_faulty("drain-spool") => None,
        None | Some("") => Some(None),
        Some(_) => scope
            .parse("drain-spool", |dir| directory::own(dir, EXAMPLE))
            .map(Some),
    };
    mode?;
    stands_alone.then_some(Some(Shared {
        servers: servers?,
        auth: auth?,
        tls: tls?,
        prefix: prefix?,
        after: after?,
        policy: policy?,
        replicas: replicas?,
        max_bytes: max_bytes?,
        drain_spool: drain_spool?,
    }))
}

/// The size of a stream, in bytes: `max-bytes`, or `shared-max-bytes` of a target.
pub(super) fn stream_bytes(text: &str) -> Result<u64, String> {
    at_least(LEAST_BYTES, values::size(text)?, "a shared backlog")
}

fn is_given(scope: &Scope<'_>) -> bool {
    let is_section = |key: &&str| ["auth", "tls"].contains(key);
    let (sections, texts): (Vec<&str>, Vec<&str>) = scope.keys().into_iter().partition(is_section);
    texts.iter().any(|key| scope.is_set(key))
        || sections
            .iter()
            .any(|key| scope.is_faulty(key) || tls::is_given(&scope.scope(key)))
}

fn prefix(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    match (1..=LONGEST_PREFIX).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(
            "is no prefix of 1 to 32 letters, digits, `_` or `-`; write one such as pyrotee"
                .to_owned(),
        ),
    }
}

fn mode(text: &str) -> Result<(), String> {
    match text {
        MODE => Ok(()),
        "always" => Err(format!("is not available in this version; write {MODE}")),
        _ => values::word(text, &[(MODE, ())]),
    }
}
