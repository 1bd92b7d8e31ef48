//! What is allowed but probably not meant.

use std::time::Duration;

use pyroscope_wire::Surface;
use pyrotee_net::Address;

use crate::{
    faults::dotted,
    settings::{Config, Target},
    values::{format_duration, format_size},
};

/// How old a profile may be that a Pyroscope of default settings takes
/// (`validation.reject-older-than`).
const INGESTION_WINDOW: Duration = Duration::from_secs(3600);

/// Warnings that follow from the settings alone.
pub(crate) fn of(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if config.tee.max_body > config.memory_limit {
        let (body, limit) = (
            format_size(config.tee.max_body),
            format_size(config.memory_limit),
        );
        found.push(format!(
            "tee.max-body: {body} is more than `memory-limit` ({limit}); a body that long is never \
             teed"
        ));
    }
    for target in &config.remote_write.targets {
        of_target(target, &mut found);
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

/// Whether nobody between here and there can read along: TLS, or this very machine.
fn is_private(address: &Address) -> bool {
    let host = address.host().trim_end_matches('.');
    address.scheme() == &http::uri::Scheme::HTTPS
        || address
            .ip()
            .is_some_and(|ip| ip.to_canonical().is_loopback())
        || host.eq_ignore_ascii_case("localhost")
}
