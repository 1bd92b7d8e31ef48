//! What is allowed but probably not meant.

use pyrotee_net::Address;

use super::{
    faults::dotted,
    settings::{Config, Target},
    values::format_size,
};

/// Warnings that follow from the settings alone.
pub(super) fn of(config: &Config) -> Vec<String> {
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
    let path = |key: &str| dotted(&["remote-write", "targets", &target.upload.name, key]);
    for (written, sent) in target.upload.tags.renamed() {
        found.push(format!(
            "{}: `{written}` is sent as `{sent}`; Pyroscope takes no `-` in the key of a tag",
            path("tags")
        ));
    }
    let authorization = target
        .upload
        .headers
        .iter()
        .any(|(name, _)| name == http::header::AUTHORIZATION);
    let credentials = target.upload.credentials.is_some() || authorization;
    if credentials && !is_private(&target.upload.address) {
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
