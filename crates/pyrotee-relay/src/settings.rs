//! Turns the configuration into the settings of each crate. Every choice of the configuration is matched here and
//! nowhere else.

use std::sync::Arc;
use std::time::Duration;

use pyrotee_config::{
    Config, Credentials, DeadLetters, Duplicates, FsyncPolicy, LocalWrites, OnAmbiguous,
};
use pyrotee_config::{OnFull, OutgoingTls, Spool, Target, TeeOn};
use pyrotee_delivery::ContentCheck;
use pyrotee_net::server::TlsAcceptor;
use pyrotee_queue::{Budget, Limits, Producer, RecordCheck, Sharing, Supervisor, WhenFull};
use sha2::{Digest as _, Sha256};

use super::outside::Outside;

/// How long a written record may wait for the disk with `fsync: interval`.
const FSYNC_AFTER: Duration = Duration::from_millis(100);

/// Maximum memory for the spool's index of records on disk, in bytes: some 250,000 records of one target.
const MOST_INDEX: u64 = 64 * 1024 * 1024;

/// Divisor of the memory limit: the share for rejected profiles that are not written to dead letters yet. So a slow
/// disk does not take all memory from the targets.
const UNWRITTEN_LETTERS_SHARE: u64 = 8;

/// The settings of one target's deliveries.
pub fn delivery(target: &Target) -> pyrotee_delivery::Settings {
    let credentials = |credentials: Credentials| match credentials {
        Credentials::Bearer(token) => pyrotee_delivery::Credentials::Bearer(token),
        Credentials::Basic { user, password } => {
            pyrotee_delivery::Credentials::Basic { user, password }
        }
    };
    pyrotee_delivery::Settings {
        name: target.name.clone(),
        address: target.address.clone(),
        tls: target.tls.as_ref().map(|it| it.tls.clone()),
        credentials: target.credentials.clone().map(credentials),
        tenant: target.tenant.clone(),
        headers: target.headers.clone(),
        tags: target.tags.clone(),
        paths: target.paths.clone(),
        timeout: target.timeout,
        workers: target.queue_workers,
        max_age: target.max_age,
        on_ambiguous: match target.on_ambiguous {
            OnAmbiguous::Retry => pyrotee_delivery::OnAmbiguous::Retry,
            OnAmbiguous::Drop => pyrotee_delivery::OnAmbiguous::Drop,
        },
        replay_rate: target.replay_rate,
        rules: target.outcomes.clone(),
    }
}

/// The limits of one target's queue.
pub(super) fn limits(target: &Target) -> Limits {
    Limits {
        records: target.queue_size,
        bytes: target.queue_bytes,
        when_full: match target.on_full {
            OnFull::DropNewest => WhenFull::DropNewest,
            OnFull::DropOldest => WhenFull::DropOldest,
        },
    }
}

/// How the backlog of a target is shared, with at most `max_bytes` unless the target has a limit of its own.
pub(super) fn sharing(target: &Target, max_bytes: u64) -> Sharing {
    Sharing {
        tags: target.tags.render().into(),
        whose: whose(target),
        max_age: target.max_age,
        timeout: target.timeout,
        max_bytes: target.shared_max_bytes.unwrap_or(max_bytes),
    }
}

/// The start of the SHA-256 of a target's address and tenant, so that two relays do not mix what two tenants captured
/// although they call their targets by the same name.
fn whose(target: &Target) -> [u8; 16] {
    let address = &target.address;
    let host = address.host().to_ascii_lowercase();
    let server = format!("{}://{host}:{}", address.scheme(), address.port());
    let tenant = target.tenant.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    // No part has a NUL. No tenant is the same as an empty one.
    for part in [&server, address.prefix(), tenant] {
        hash.update(part);
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut whose = [0; 16];
    whose.copy_from_slice(digest.split_at(16).0);
    whose
}

/// The settings of the spool.
pub(super) fn spool(
    spool: &Spool,
    memory_limit: u64,
    supervisor: &Supervisor,
) -> pyrotee_spool::Settings {
    pyrotee_spool::Settings {
        max_bytes: spool.max_bytes,
        segment_bytes: spool.segment_bytes,
        index_bytes: MOST_INDEX.min(memory_limit / 4),
        fsync: match spool.fsync {
            FsyncPolicy::Always => pyrotee_spool::Fsync::Always,
            FsyncPolicy::Interval => pyrotee_spool::Fsync::Interval(FSYNC_AFTER),
            FsyncPolicy::Never => pyrotee_spool::Fsync::Never,
        },
        supervisor: supervisor.clone(),
        ..pyrotee_spool::Settings::new(&spool.dir)
    }
}

/// The settings of the dead letters.
pub(super) fn dead_letters(
    letters: &DeadLetters,
    memory_limit: u64,
    supervisor: &Supervisor,
) -> pyrotee_letters::Settings {
    pyrotee_letters::Settings {
        dir: letters.dir.clone(),
        max_bytes: letters.max_bytes,
        most_waiting: memory_limit / UNWRITTEN_LETTERS_SHARE,
        supervisor: supervisor.clone(),
    }
}

/// The settings of the request path. At most `threads` threads are busy with bodies at once.
pub(super) fn proxy(
    config: &Config,
    producer: Arc<dyn Producer>,
    budget: &Arc<Budget>,
    threads: usize,
    outside: &Outside,
    listen_tls: Option<TlsAcceptor>,
) -> anyhow::Result<pyrotee_proxy::Settings> {
    let upstream = config.upstream.as_ref().map(|upstream| {
        let (mut connector, mut grpc_connector) = outside.upstream_connectors()?;
        if let Some(OutgoingTls { tls, .. }) = &upstream.tls {
            connector = connector.with_tls(tls.clone());
            grpc_connector = grpc_connector.with_tls(tls.clone());
        }
        anyhow::Ok(pyrotee_proxy::UpstreamSettings {
            origin: upstream.address.origin(),
            connector,
            grpc_connector,
            max_connections: upstream.max_connections,
            timeout: upstream.timeout,
            forwarded_headers: upstream.forwarded_headers,
        })
    });
    let (local_writes, tee) = policy(config, threads);
    Ok(pyrotee_proxy::Settings {
        listen_tls,
        upstream: upstream.transpose()?,
        producer,
        budget: Arc::clone(budget),
        local_writes,
        tee,
    })
}

/// What the request path does with ingestion requests. Without a tee pyrotee is a pure proxy.
pub(super) fn policy(
    config: &Config,
    threads: usize,
) -> (
    pyrotee_proxy::LocalWrites,
    Option<pyrotee_proxy::TeeSettings>,
) {
    if !config.remote_write.enabled {
        return (pyrotee_proxy::LocalWrites::Forward, None);
    }
    let local_writes = match config.remote_write.local_writes {
        LocalWrites::Discard => pyrotee_proxy::LocalWrites::Discard,
        LocalWrites::Forward => pyrotee_proxy::LocalWrites::Forward,
    };
    let check = || -> Arc<dyn RecordCheck> {
        let tags = config.remote_write.targets.iter().map(|it| &it.tags);
        Arc::new(ContentCheck::new(tags, threads))
    };
    let tee = pyrotee_proxy::TeeSettings {
        max_body: config.tee.max_body,
        on: match config.tee.on {
            TeeOn::Always => pyrotee_proxy::TeeOn::Always,
            TeeOn::UpstreamSuccess => pyrotee_proxy::TeeOn::UpstreamSuccess,
        },
        duplicates: match config.tee.duplicates {
            Duplicates::Drop => pyrotee_proxy::Duplicates::Drop,
            Duplicates::Tee => pyrotee_proxy::Duplicates::Tee,
        },
        check: (local_writes == pyrotee_proxy::LocalWrites::Discard).then(check),
    };
    (local_writes, Some(tee))
}

#[cfg(test)]
mod tests {
    use pyrotee_config::{Flags, Sources};

    use super::*;

    fn digest(target: &str) -> [u8; 16] {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pyrotee.yaml");
        let yaml = format!("remote-write: {{ enabled: true, targets: {{ a: {{ {target} }} }} }}");
        std::fs::write(&file, yaml).unwrap();
        let sources = Sources {
            file: Some(file),
            env: Vec::new(),
            flags: Flags::default(),
            cpus: 2,
        };
        let config = pyrotee_config::load(sources).unwrap_or_else(|faults| panic!("{faults}"));
        whose(&config.remote_write.targets[0])
    }

    #[test]
    fn the_same_server_and_tenant_have_one_digest_however_they_are_written() {
        let one = digest("address: https://eu.example/base");
        for same in [
            "address: https://EU.example:443/base/",
            "address: https://eu.example/base, tags: { pod: b-0 }, auth-token: t",
        ] {
            assert_eq!(digest(same), one, "{same}");
        }
        for other in [
            "address: http://eu.example/base",
            "address: https://us.example/base",
            "address: https://eu.example:444/base",
            "address: https://eu.example",
            "address: https://eu.example/base, tenant-id: team",
        ] {
            assert_ne!(digest(other), one, "{other}");
        }
    }
}
