//! Converts the sections into typed settings: one file for each part of the settings.
//!
//! Every function returns `None` exactly if the function, or a step before it, has added a fault.

mod admin_hosts;
mod credentials;
mod dead_letters;
mod directory;
mod headers;
mod loops;
mod outcomes;
mod process;
mod remote_write;
mod scrape;
mod shared;
mod spool;
mod surfaces;
mod target;
mod tls;

pub(super) use credentials::{ADMIN_TOKEN, admin_token};
pub(super) use outcomes::ON_AMBIGUOUS;
pub(super) use process::{DUPLICATES, FORMATS, LEVELS, TEE_ON};
pub(super) use scrape::TENANT;
pub(super) use shared::MODE;
pub(super) use surfaces::TAG_KEYS;
pub(super) use target::ON_FULL;
pub(super) use tls::{ADMIN_TLS, admin_certificate};

use std::time::SystemTime;

use pyrotee_scrape_config::Job;

use super::{
    reader::{Scope, Tree},
    settings::Config,
    tls_warnings, warnings,
};

/// Converts the whole configuration into typed settings. `cpus` is the number of CPUs, `jobs` those of pull mode; `None` if
/// they have a fault.
pub(super) fn config(tree: &Tree<'_>, cpus: usize, jobs: Option<Vec<Job>>) -> Option<Config> {
    let root = tree.root();
    let listen = process::listen(&root);
    let listen_tls = tls::listener(&root, "listen-tls", tls::Listener::Data);
    let admin_tls = tls::listener(&root, ADMIN_TLS, tls::Listener::Admin);
    let admin_token = admin_token(&root);
    let admin_hosts = admin_hosts::admin_hosts(&root);
    let memory_limit = process::memory_limit(&root);
    let spool = spool::spool(&root.scope("spool"));
    let dead_letters = dead_letters::dead_letters(&root.scope("dead-letters"), spool.as_ref());
    let shared = shared::shared(&root);
    let shutdown_grace = process::shutdown_grace(&root);
    let reload = process::reload(&root);
    let log = process::log(&root);
    let scrape = scrape::scrape(&root.scope("scrape"), jobs);
    let own = listen.map(|(listen, _)| listen);
    let around = target::Around {
        cpus,
        memory_limit,
        listen: own,
    };
    let remote_write = remote_write::remote_write(&root.scope("remote-write"), &around);
    let tee = process::tee(&root, memory_limit, remote_write.as_ref());
    let upstream = process::upstream(&root.scope("upstream"), remote_write.as_ref(), own);
    let (listen, admin) = listen?;
    let mut config = Config {
        listen,
        listen_tls: listen_tls?,
        admin,
        admin_tls: admin_tls?,
        admin_token: admin_token?,
        admin_hosts: admin_hosts?,
        upstream: upstream?,
        memory_limit: memory_limit?,
        tee: tee?,
        spool: spool?,
        dead_letters: dead_letters?,
        shared: shared?,
        shutdown_grace: shutdown_grace?,
        reload: reload?,
        log: log?,
        scrape: scrape?,
        remote_write: remote_write?,
        warnings: Vec::new(),
    };
    config.warnings = tree.take_warnings();
    config.warnings.extend(warnings::of(&config));
    config
        .warnings
        .extend(tls_warnings::of(&config, SystemTime::now()));
    if root.scope("tee").is_set("max-body") {
        config.warnings.extend(warnings::of_max_body(&config));
    }
    warn_of_unused(&root, &mut config);
    Some(config)
}

/// Warns of keys that are set without an effect. The typed settings no longer show such keys.
fn warn_of_unused(root: &Scope<'_>, config: &mut Config) {
    let write = root.scope("remote-write");
    if !config.remote_write.enabled {
        if !config.remote_write.targets.is_empty() && !write.is_set("enabled") {
            let text = "is not set, so nothing goes to the targets; write `enabled: true`";
            config
                .warnings
                .push(format!("{}: {text}", write.shown_path("enabled")));
        }
        if write.text("disable-local-writes") == Some("true") {
            let path = write.shown_path("disable-local-writes");
            config
                .warnings
                .push(format!("{path}: means nothing while `enabled` is false"));
        }
    }
    let upstream = root.scope("upstream");
    if config.upstream.is_none()
        && (["timeout", "forwarded-headers", "max-connections"]
            .iter()
            .any(|key| upstream.is_set(key))
            || tls::is_given(&upstream.scope("tls")))
    {
        let text = "means nothing without an address while local writes are disabled";
        config.warnings.push(format!("upstream: {text}"));
    }
}
