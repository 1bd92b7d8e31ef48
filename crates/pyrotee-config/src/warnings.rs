//! Warnings of settings that are allowed but probably not meant.

use std::{net::IpAddr, time::Duration};

use pyroscope_wire::Surface;
use pyrotee_net::Address;
use pyrotee_yaml::values::{format_duration, format_size};

use crate::{
    faults::dotted,
    settings::{Config, Target},
};

/// Greatest age of a profile that a Pyroscope with default settings accepts
/// (`validation.reject-older-than`).
const INGESTION_WINDOW: Duration = Duration::from_secs(3600);

/// The least useful `memory-limit`, in bytes; a lower one is warned of.
const LEAST_MEMORY: u64 = 8 * 1024 * 1024;

/// The longest body, in bytes, that the relay records within a memory limit. The budget of `pyrotee-queue` has the same
/// rule: three quarters of the limit are for bodies, and a sixteenth of the limit among these for queued bodies alone.
fn longest_recordable(memory_limit: u64) -> u64 {
    (memory_limit - memory_limit / 4).saturating_sub(memory_limit / 16)
}

/// The warning of a given `tee.max-body` for which the memory limit never has room.
pub(crate) fn of_max_body(config: &Config) -> Option<String> {
    let longest = longest_recordable(config.memory_limit);
    if config.tee.max_body <= longest || config.memory_limit < LEAST_MEMORY {
        return None;
    }
    let (body, longest) = (format_size(config.tee.max_body), format_size(longest));
    let limit = format_size(config.memory_limit);
    Some(format!(
        "tee.max-body: {body} is more than {longest}, the longest body that a `memory-limit` of {limit} has room \
         for; a longer body is never teed"
    ))
}

/// Warnings that follow from the settings alone.
pub(crate) fn of(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let limit = format_size(config.memory_limit);
    if config.memory_limit < LEAST_MEMORY {
        found.push(format!(
            "memory-limit: {limit} is less than {}; many profiles will be dropped, since a quarter of it is for \
             unpacking and at most half of it for profiles being received",
            format_size(LEAST_MEMORY)
        ));
    }
    for target in &config.remote_write.targets {
        of_target(target, &mut found);
        if target.shared_max_bytes.is_some() && config.shared.is_none() {
            found.push(format!(
                "{}: means nothing without `shared`",
                dotted(&["remote-write", "targets", &target.name, "shared-max-bytes"])
            ));
        }
    }
    let servers = config.shared.iter().flat_map(|shared| &shared.servers);
    let open: Vec<_> = servers
        .filter(|server| !server.tls && !is_this_machine(&server.host))
        .map(|server| server.text.as_str())
        .collect();
    if !open.is_empty() {
        found.push(format!(
            "shared.servers: profiles and credentials go without TLS to {}; write tls://… if the servers take it",
            open.join(", ")
        ));
    }
    found
}

fn of_target(target: &Target, found: &mut Vec<String>) {
    let path = |key: &str| dotted(&["remote-write", "targets", &target.name, key]);
    for (written, sent) in target.tags.renamed() {
        found.push(format!(
            "{}: `{written}` is sent as `{sent}`; Pyroscope takes no `-` in the key of a tag",
            path("tags")
        ));
    }
    if let Some(surface) = Surface::recognise("POST", target.address.prefix()) {
        let (prefix, name) = (target.address.prefix(), surface.name());
        found.push(format!(
            "{}: `{prefix}` ends with the path of a surface, which pyrotee appends itself; leave it \
             out; if the gateway serves it elsewhere use `paths: {{ {name}: … }}`",
            path("address")
        ));
    }
    let max_age = target.max_age;
    if max_age.is_none_or(|age| age > INGESTION_WINDOW) {
        let given = match max_age {
            Some(age) => format!("{} is more than 1h", format_duration(age)),
            None => "is off".to_owned(),
        };
        found.push(format!(
            "{}: {given}; a Pyroscope refuses profiles older than 1h unless its \
             `validation.reject-older-than` says otherwise",
            path("max-age")
        ));
    }
    let authorization = target
        .headers
        .iter()
        .any(|(name, _)| name == http::header::AUTHORIZATION);
    let credentials = target.credentials.is_some() || authorization;
    if credentials && !is_private(&target.address) {
        found.push(format!(
            "{}: credentials go over plain http; write https://… if the target takes it",
            path("address")
        ));
    }
}

/// Whether nobody can read the traffic to an address: its scheme is https, or its host is this machine.
fn is_private(address: &Address) -> bool {
    address.scheme() == &http::uri::Scheme::HTTPS || is_this_machine(address.host())
}

fn is_this_machine(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}
