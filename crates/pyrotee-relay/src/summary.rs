//! What a relay does with its configuration, in a few log lines at the start.

use pyrotee_config::{
    Config, Credentials, DeadLetters, Job, LocalWrites, RemoteWrite, Shared, Spool, Target,
    Upstream, format_size,
};

/// Most targets that have a line of their own.
const MOST_TARGETS: usize = 20;

/// Most jobs that have a line of their own.
const MOST_JOBS: usize = 20;

/// Logs the upstream, the targets, the queues, the jobs and the limits of `config`, without secrets. The relay accepts at most
/// `client_connections` at once.
pub(crate) fn log(config: &Config, client_connections: usize) {
    log_upstream(config.upstream.as_ref(), &config.remote_write);
    if config.remote_write.enabled {
        log_targets(&config.remote_write.targets);
        match &config.shared {
            Some(shared) => log_shared(shared),
            None => log_queues(config.spool.as_ref()),
        }
        log_dead_letters(config.dead_letters.as_ref());
    }
    log_jobs(&config.scrape.jobs);
    tracing::info!(
        memory_limit = format_size(config.memory_limit),
        max_body = format_size(config.tee.max_body),
        client_connections,
        "limits"
    );
}

fn log_upstream(upstream: Option<&Upstream>, remote_write: &RemoteWrite) {
    let address = upstream.map(|upstream| upstream.address.to_string());
    let is_discarding = remote_write.local_writes == LocalWrites::Discard;
    match (address, remote_write.enabled && is_discarding) {
        (Some(upstream), false) => tracing::info!(upstream, "forwarding requests to the upstream"),
        (Some(upstream), true) => tracing::info!(
            upstream,
            "local writes are disabled: forwarding all requests but profiles to the upstream"
        ),
        (None, _) => tracing::info!("local writes are disabled, and there is no upstream"),
    }
    if !remote_write.enabled {
        tracing::info!("remote-write.enabled is false: sending no profiles to targets");
    }
}

fn log_targets(targets: &[Target]) {
    for target in targets.iter().take(MOST_TARGETS) {
        tracing::info!(
            target = target.name,
            address = %target.address,
            credentials = credentials(target),
            tenant = target.tenant,
            tags = target.tags.iter().count(),
            "sending profiles to the target"
        );
    }
    let others = targets.len().saturating_sub(MOST_TARGETS);
    if others > 0 {
        tracing::info!(targets = others, "sending profiles to further targets");
    }
}

fn log_jobs(jobs: &[Job]) {
    for job in jobs.iter().take(MOST_JOBS) {
        let profiles = job.profiles.iter().filter(|(_, it)| it.is_enabled);
        let profiles: Vec<_> = profiles.map(|(name, _)| name.as_str()).collect();
        let fixed: usize = job.static_groups.iter().map(|it| it.targets.len()).sum();
        tracing::info!(
            job = job.name,
            interval = ?job.interval,
            profiles = profiles.join(","),
            static_addresses = fixed,
            discoveries = job.file_discoveries.len() + job.http_discoveries.len(),
            "scraping the applications of the job"
        );
    }
    let others = jobs.len().saturating_sub(MOST_JOBS);
    if others > 0 {
        tracing::info!(jobs = others, "scraping the applications of further jobs");
    }
}

/// The kind of credentials that a target gets.
fn credentials(target: &Target) -> &'static str {
    match &target.credentials {
        Some(Credentials::Bearer(_)) => "bearer",
        Some(Credentials::Basic { .. }) => "basic",
        None if !target.headers.is_empty() => "headers",
        None => "none",
    }
}

fn log_queues(spool: Option<&Spool>) {
    let Some(spool) = spool else {
        tracing::info!("queueing profiles in memory");
        return;
    };
    tracing::info!(
        dir = %spool.dir.display(),
        max_bytes = format_size(spool.max_bytes),
        fsync = spool.fsync.as_str(),
        "queueing profiles in the spool"
    );
}

fn log_shared(shared: &Shared) {
    let servers: Vec<_> = shared.servers.iter().map(|it| it.text.as_str()).collect();
    tracing::info!(
        servers = servers.join(","),
        prefix = shared.prefix,
        after = ?shared.after,
        max_bytes = format_size(shared.max_bytes),
        "queueing profiles in memory, and sharing the backlog of each target with other relays"
    );
}

fn log_dead_letters(dead_letters: Option<&DeadLetters>) {
    match dead_letters {
        Some(letters) => tracing::info!(
            dir = %letters.dir.display(),
            max_bytes = format_size(letters.max_bytes),
            "keeping rejected profiles as dead letters"
        ),
        None => tracing::info!("rejected profiles are not kept: dead-letters.dir is not set"),
    }
}
