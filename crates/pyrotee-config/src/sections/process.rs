//! Keys of the process and of the request path.

use std::num::NonZeroUsize;
use std::time::Duration;

use pyrotee_net::{Address, Listen};
use pyrotee_yaml::values;

use super::{loops::refuse_loop, tls};
use crate::{
    listen,
    reader::Scope,
    schema,
    settings::{
        Duplicates, LocalWrites, Log, LogFormat, LogLevel, Reload, RemoteWrite, Tee, TeeOn,
        Upstream,
    },
};

/// Words for `tee.on`.
pub(crate) const TEE_ON: &[(&str, TeeOn)] = &[
    ("always", TeeOn::Always),
    ("upstream-success", TeeOn::UpstreamSuccess),
];

/// Words for `tee.duplicates`.
pub(crate) const DUPLICATES: &[(&str, Duplicates)] =
    &[("drop", Duplicates::Drop), ("tee", Duplicates::Tee)];

/// Words for `log.level`.
pub(crate) const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// Words for `log.format`.
pub(crate) const FORMATS: &[(&str, LogFormat)] =
    &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Shortest `reload.interval` other than 0. Twenty files take a quarter of a millisecond at each look.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// The addresses of both listeners: `listen` and `admin`.
pub(super) fn listen(root: &Scope<'_>) -> Option<(Listen, Listen)> {
    let listen = root.parse("listen", listen::parse);
    let admin = root.parse("admin", listen::parse);
    let (listen, admin) = (listen?, admin?);
    if listen::clash(&admin, &listen) {
        let (key, other, at) = if root.is_set("admin") {
            ("admin", "listen", listen)
        } else {
            ("listen", "admin", admin)
        };
        root.fault(
            key,
            &format!("is the same as `{other}` ({at}); write another port"),
        );
        return None;
    }
    Some((listen, admin))
}

pub(super) fn memory_limit(root: &Scope<'_>) -> Option<u64> {
    root.parse("memory-limit", values::size)
}

/// The section `tee`. The default of `max-body` is at most the bytes of the largest queue, and at most three quarters
/// of the memory limit, because a longer body could not be queued.
pub(super) fn tee(
    root: &Scope<'_>,
    memory_limit: Option<u64>,
    remote_write: Option<&RemoteWrite>,
) -> Option<Tee> {
    let scope = root.scope("tee");
    let max_body = scope.parse("max-body", values::size);
    let on = scope.parse("on", |text| values::word(text, TEE_ON));
    let duplicates = scope.parse("duplicates", |text| values::word(text, DUPLICATES));
    let mut max_body = max_body?;
    if !scope.is_set("max-body") {
        let targets = remote_write.into_iter().flat_map(|it| &it.targets);
        let largest_queue = targets.map(|target| target.queue_bytes).max();
        let held = memory_limit.map(|limit| limit - limit / 4);
        max_body = largest_queue
            .into_iter()
            .chain(held)
            .fold(max_body, u64::min);
    }
    Some(Tee {
        max_body,
        on: on?,
        duplicates: duplicates?,
    })
}

pub(super) fn shutdown_grace(root: &Scope<'_>) -> Option<Duration> {
    root.scope("shutdown").parse("grace", values::duration)
}

/// The section `reload`. A shorter interval than [`LEAST_INTERVAL`] is a fault, except 0, which is off.
pub(super) fn reload(root: &Scope<'_>) -> Option<Reload> {
    let scope = root.scope("reload");
    let interval = scope.parse("interval", |text| match values::duration(text)? {
        short if !short.is_zero() && short < LEAST_INTERVAL => {
            Err("is shorter than 10ms; write one such as 5s, or 0 for never".to_owned())
        }
        interval => Ok(interval),
    });
    let drain = scope.parse("drain", values::duration);
    Some(Reload {
        interval: interval?,
        drain: drain?,
    })
}

pub(super) fn log(root: &Scope<'_>) -> Option<Log> {
    let scope = root.scope("log");
    let level = scope.parse("level", |text| values::word(text, LEVELS));
    let format = scope.parse("format", |text| values::word(text, FORMATS));
    Some(Log {
        level: level?,
        format: format?,
    })
}

/// The upstream; the inner `None` if local writes are disabled and no address is given.
pub(super) fn upstream(
    scope: &Scope<'_>,
    remote_write: Option<&RemoteWrite>,
    own: Option<Listen>,
) -> Option<Option<Upstream>> {
    let timeout = scope.parse("timeout", values::wait);
    let forwarded_headers = scope.parse("forwarded-headers", values::boolean);
    let address = match scope.text("address") {
        Some(text) => Some(address(scope, text, own)),
        None if scope.is_faulty("address") => Some(None),
        None if remote_write?.local_writes == LocalWrites::Discard => None,
        None => Some(address(scope, schema::UPSTREAM_ADDRESS, own)),
    };
    let max_connections = scope.parse("max-connections", |text| {
        values::count(text, usize::MAX).map(NonZeroUsize::new)
    });
    let known = address.as_ref().and_then(Option::as_ref);
    let tls = match address {
        // Keys of TLS mean nothing without an address.
        None => Some(None),
        Some(_) => tls::outgoing(scope, known),
    };
    let (timeout, forwarded_headers) = (timeout?, forwarded_headers?);
    let max_connections = max_connections?;
    match address {
        None => Some(None),
        Some(address) => Some(Some(Upstream {
            address: address?,
            tls: tls?,
            timeout,
            forwarded_headers,
            max_connections,
        })),
    }
}

fn address(scope: &Scope<'_>, text: &str, own: Option<Listen>) -> Option<Address> {
    match Address::parse(text) {
        Err(error) => scope.fault("address", &error.to_string()),
        // Clients send their own credentials, which are forwarded; credentials in this address would never be sent.
        Ok(parsed) if parsed.userinfo.is_some() => {
            scope.fault(
                "address",
                "has a user or password, which only targets take; remove it",
            );
        }
        // A forwarded request keeps the client's path, so a path of the address would never be used.
        Ok(parsed) if !parsed.address.prefix().is_empty() => {
            scope.fault(
                "address",
                "has a path, but requests keep the path of the client; remove it",
            );
        }
        Ok(parsed) => {
            refuse_loop(scope, &parsed.address, own);
            return Some(parsed.address);
        }
    }
    None
}
