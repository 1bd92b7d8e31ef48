//! The keys of one target.

use pyrotee_net::{Address, Listen, ParsedAddress};
use pyrotee_yaml::values;

use super::{credentials, headers, loops::refuse_loop, outcomes, shared, surfaces, tls};
use crate::{
    reader::Scope,
    schema,
    settings::{OnFull, Target},
};

/// Words for `on-full`.
pub(crate) const ON_FULL: &[(&str, OnFull)] = &[
    ("drop-newest", OnFull::DropNewest),
    ("drop-oldest", OnFull::DropOldest),
];

/// Longest name of a target, in bytes: the name is a label of metrics and part of file names.
const MAX_NAME: usize = 63;
/// Greatest `queue-size`, so that no data structure of this size can overflow. A larger value cannot be meant.
const MAX_QUEUE_SIZE: usize = 10_000_000;
const MAX_WORKERS: usize = 10_000;
const MIN_WORKERS: usize = 64;
/// The default of `queue-bytes` is at most the memory limit divided by this.
const QUEUE_SHARE: u64 = 4;

/// Settings outside of a target on which its defaults and limits depend.
pub(super) struct Around {
    pub(super) cpus: usize,
    pub(super) memory_limit: Option<u64>,
    pub(super) listen: Option<Listen>,
}

/// Reads the target with this name. Adds all faults of the target, not only the first one.
pub(super) fn target(name: &str, targets: &Scope<'_>, around: &Around) -> Option<Target> {
    let scope = &targets.scope(name);
    if targets.is_faulty(name) {
        return None;
    }
    let valid_name = check_name(name, scope);
    let parsed = address(scope, name, targets);
    if let Some(parsed) = &parsed {
        refuse_loop(scope, &parsed.address, around.listen);
    }
    let tls = tls::outgoing(scope, parsed.as_ref().map(|parsed| &parsed.address));
    let userinfo = parsed.as_ref().and_then(|parsed| parsed.userinfo.as_ref());
    let credentials = credentials::credentials(scope, userinfo);
    let tenant = headers::tenant(scope);
    let headers = headers::headers(scope);
    let tag_keys = surfaces::tag_keys(scope);
    let tags = surfaces::tags(scope, tag_keys);
    let paths = surfaces::paths(scope);
    let timeout = scope.parse("timeout", |text| {
        // Zero means the default, as in Pyroscope 0.37.
        let given = values::duration(text)?;
        if given.is_zero() {
            values::duration(schema::target_default("timeout"))
        } else {
            Ok(given)
        }
    });
    let queue_size = scope.parse("queue-size", |text| {
        match values::count(text, MAX_QUEUE_SIZE)? {
            0 => values::count(schema::target_default("queue-size"), MAX_QUEUE_SIZE),
            given => Ok(given),
        }
    });
    let queue_bytes = queue_bytes(scope, around);
    let queue_workers = queue_workers(scope, around);
    let on_full = scope.parse("on-full", |text| values::word(text, ON_FULL));
    let max_age = outcomes::max_age(scope);
    let on_ambiguous = outcomes::on_ambiguous(scope);
    let replay_rate = outcomes::replay_rate(scope);
    let shared_max_bytes = match scope.text("shared-max-bytes") {
        None => (!scope.is_faulty("shared-max-bytes")).then_some(None),
        Some(_) => scope
            .parse("shared-max-bytes", shared::stream_bytes)
            .map(Some),
    };
    let outcomes = outcomes::rules(scope);
    Some(Target {
        name: valid_name?,
        address: parsed?.address,
        tls: tls?,
        credentials: credentials?,
        tenant: tenant?,
        headers: headers?,
        tags: tags?,
        tag_keys: tag_keys?,
        paths: paths?,
        timeout: timeout?,
        queue_size: queue_size?,
        queue_bytes: queue_bytes?,
        queue_workers: queue_workers?,
        on_full: on_full?,
        max_age: max_age?,
        on_ambiguous: on_ambiguous?,
        replay_rate: replay_rate?,
        shared_max_bytes: shared_max_bytes?,
        outcomes: outcomes?,
    })
}

fn check_name(name: &str, scope: &Scope<'_>) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        let text = "a target's name has 1 to 63 letters, digits, `_`, `.` or `-`; choose another";
        scope.fault("", text);
        return None;
    }
    Some(name.to_owned())
}

fn address(scope: &Scope<'_>, name: &str, targets: &Scope<'_>) -> Option<ParsedAddress> {
    let Some(text) = scope.text("address") else {
        if !scope.is_faulty("address") {
            // Variables cannot contain `-`, so the environment may have created this target by mistake.
            let alike = |other: &&str| *other != name && other.replace('-', "_") == name;
            let hint = match targets.keys().into_iter().find(alike) {
                Some(other) => format!(" (or did you mean the target `{other}`?)"),
                None => String::new(),
            };
            scope.fault(
                "address",
                &format!("is missing; write http://HOST:PORT{hint}"),
            );
        }
        return None;
    };
    match Address::parse(text) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            scope.fault("address", &error.to_string());
            None
        }
    }
}

fn queue_bytes(scope: &Scope<'_>, around: &Around) -> Option<u64> {
    let bytes = scope.parse("queue-bytes", values::size)?;
    match around.memory_limit {
        Some(limit) if bytes > limit && scope.is_set("queue-bytes") => {
            let limit = values::format_size(limit);
            let text = format!(
                "is more than `memory-limit` ({limit}), which holds all queues; \
                                raise that or lower this"
            );
            scope.fault("queue-bytes", &text);
            None
        }
        Some(_) if scope.is_set("queue-bytes") => Some(bytes),
        // The default shrinks with the memory limit, so that a sidecar sets only `memory-limit` and the queue of
        // a hanging target leaves memory for the others.
        Some(limit) => Some(bytes.min(limit / QUEUE_SHARE)),
        None => Some(bytes),
    }
}

fn queue_workers(scope: &Scope<'_>, around: &Around) -> Option<usize> {
    scope.parse("queue-workers", |text| {
        let given = values::count(text, MAX_WORKERS)?;
        let default = around
            .cpus
            .saturating_mul(4)
            .clamp(MIN_WORKERS, MAX_WORKERS);
        Ok(if given == 0 { default } else { given })
    })
}
