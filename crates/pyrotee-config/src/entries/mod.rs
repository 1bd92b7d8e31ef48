//! All keys of a configuration with their effective values, as one flat list in the order of the documentation. The
//! rendering and the comparison of configurations read this list.

mod scrape;
mod shared;

use std::{
    borrow::Cow,
    num::{NonZeroU64, NonZeroUsize},
};

use http::HeaderValue;
use pyrotee_tls::{ClientTlsSettings, IdentityPem, MinVersion, PemFile, ServerTlsSettings};
use pyrotee_yaml::values::{format_duration, format_size, word_for};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    sections::{DUPLICATES, FORMATS, LEVELS, ON_AMBIGUOUS, ON_FULL, TAG_KEYS, TEE_ON},
    settings::{Config, Credentials, ListenerTls, LocalWrites, OutgoingTls, RemoteWrite, Target},
};

pub(crate) use self::scrape::list_key;

/// One key with its value.
pub(crate) struct Entry<'a> {
    pub(crate) path: Vec<Cow<'a, str>>,
    pub(crate) value: Value<'a>,
}

/// The effective value of a key.
pub(crate) enum Value<'a> {
    /// A value that pyrotee formats, which YAML takes without quotes.
    Plain(String),
    /// A text of the user.
    Text(Cow<'a, str>),
    /// The meaning of a response in `outcomes`, whose place among its siblings matters.
    Rule(&'static str),
    /// A list of texts of the user.
    List(Vec<Cow<'a, str>>),
    Secret(&'a SecretString),
    /// A header that holds a secret.
    Credential(&'a HeaderValue),
    /// The path of a file, which differs from another one if path or content does.
    File(&'a PemFile),
    /// A map without keys, which YAML shows.
    EmptyMap,
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Credential(one), Self::Credential(other)) => one == other,
            (Self::Rule(one), Self::Rule(other)) => one == other,
            (Self::Secret(one), Self::Secret(other)) => {
                one.expose_secret() == other.expose_secret()
            }
            (Self::File(one), Self::File(other)) => {
                one.path() == other.path()
                    && one.content().expose_secret() == other.content().expose_secret()
            }
            (Self::EmptyMap, Self::EmptyMap) => true,
            _ => false,
        }
    }
}

/// The entries of a whole configuration.
pub(crate) fn of(config: &Config) -> Vec<Entry<'_>> {
    // Without `..`, so that a new field cannot be forgotten here.
    let Config {
        listen,
        listen_tls,
        admin,
        admin_tls,
        admin_token,
        admin_hosts,
        upstream,
        memory_limit,
        tee,
        spool,
        dead_letters,
        shared,
        shutdown_grace,
        reload,
        log,
        scrape,
        remote_write,
        warnings: _,
    } = config;
    let mut list = List::default();
    list.text("listen", listen.to_string());
    list.listener_tls("listen-tls", listen_tls.as_ref());
    list.text("admin", admin.to_string());
    list.listener_tls("admin-tls", admin_tls.as_ref());
    if let Some(token) = admin_token {
        list.add("admin-token", Value::Secret(token));
    }
    if !admin_hosts.is_empty() {
        list.text("admin-hosts", admin_hosts.join(", "));
    }
    if let Some(upstream) = upstream {
        list.section("upstream", |list| {
            list.text("address", upstream.address.to_string());
            list.plain("timeout", format_duration(upstream.timeout));
            list.plain("forwarded-headers", upstream.forwarded_headers.to_string());
            let connections = upstream.max_connections.map_or(0, NonZeroUsize::get);
            list.plain("max-connections", connections.to_string());
            list.outgoing_tls(upstream.tls.as_ref());
        });
    }
    list.plain("memory-limit", format_size(*memory_limit));
    list.section("tee", |list| {
        list.plain("max-body", format_size(tee.max_body));
        list.plain("on", word_for(tee.on, TEE_ON));
        list.plain("duplicates", word_for(tee.duplicates, DUPLICATES));
    });
    if let Some(spool) = spool {
        list.section("spool", |list| {
            list.text("dir", spool.dir.to_string_lossy());
            list.plain("max-bytes", format_size(spool.max_bytes));
            list.plain("segment-bytes", format_size(spool.segment_bytes));
            list.plain("fsync", spool.fsync.as_str());
        });
    }
    list.section("dead-letters", |list| match dead_letters {
        Some(letters) => {
            list.text("dir", letters.dir.to_string_lossy());
            list.plain("max-bytes", format_size(letters.max_bytes));
        }
        // With a spool the default is to keep dead letters, so the 0 is written.
        None if spool.is_some() => list.plain("max-bytes", "0"),
        None => {}
    });
    if let Some(shared) = shared {
        list.section("shared", |list| list.shared(shared));
    }
    list.section("shutdown", |list| {
        list.plain("grace", format_duration(*shutdown_grace));
    });
    list.section("reload", |list| {
        list.plain("interval", format_duration(reload.interval));
        list.plain("drain", format_duration(reload.drain));
    });
    list.section("log", |list| {
        list.plain("level", word_for(log.level, LEVELS));
        list.plain("format", word_for(log.format, FORMATS));
    });
    list.scrape(scrape);
    list.section("remote-write", |list| list.remote_write(remote_write));
    list.entries
}

/// The entries of one target, with paths that begin below its name.
pub(crate) fn of_target(target: &Target) -> Vec<Entry<'_>> {
    let mut list = List::default();
    list.target(target);
    list.entries
}

/// Entries, and the section that the next one belongs to.
#[derive(Default)]
struct List<'a> {
    section: Vec<Cow<'a, str>>,
    entries: Vec<Entry<'a>>,
}

impl<'a> List<'a> {
    fn section(&mut self, name: impl Into<Cow<'a, str>>, fill: impl FnOnce(&mut Self)) {
        self.section.push(name.into());
        fill(self);
        self.section.pop();
    }

    fn add(&mut self, key: impl Into<Cow<'a, str>>, value: Value<'a>) {
        let mut path = self.section.clone();
        path.push(key.into());
        self.entries.push(Entry { path, value });
    }

    fn plain(&mut self, key: &'a str, value: impl Into<String>) {
        self.add(key, Value::Plain(value.into()));
    }

    fn text(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        self.add(key, Value::Text(value.into()));
    }

    fn list<T: Into<Cow<'a, str>>>(&mut self, key: &'a str, texts: impl Iterator<Item = T>) {
        self.add(key, Value::List(texts.map(Into::into).collect()));
    }

    fn file(&mut self, key: &'a str, file: Option<&'a PemFile>) {
        if let Some(file) = file {
            self.add(key, Value::File(file));
        }
    }

    fn identity(&mut self, identity: Option<&'a IdentityPem>) {
        self.file("cert-file", identity.map(|identity| &identity.cert));
        self.file("key-file", identity.map(|identity| &identity.key));
    }

    /// The section of a listener that speaks TLS.
    fn listener_tls(&mut self, name: &'a str, tls: Option<&'a ListenerTls>) {
        let Some(ListenerTls { settings, tls: _ }) = tls else {
            return;
        };
        let ServerTlsSettings {
            identity,
            client_ca,
            client_auth,
            min_version,
        } = settings;
        self.section(name, |list| {
            list.identity(Some(identity));
            list.file("client-ca-file", client_ca.as_ref());
            list.plain("client-auth", client_auth.as_str());
            list.text("min-version", min_version.as_str());
        });
    }

    /// The section of TLS towards a server, if a key of it differs from its default.
    fn outgoing_tls(&mut self, tls: Option<&'a OutgoingTls>) {
        let Some(OutgoingTls { settings, tls: _ }) = tls else {
            return;
        };
        let ClientTlsSettings {
            ca,
            system_roots,
            identity,
            server_name,
            min_version,
            insecure_skip_verify,
        } = settings;
        let is_given = ca.is_some() || identity.is_some() || server_name.is_some();
        let differs =
            *system_roots || *insecure_skip_verify || *min_version != MinVersion::default();
        if !is_given && !differs {
            return;
        }
        self.section("tls", |list| {
            list.file("ca-file", ca.as_ref());
            list.plain("system-roots", system_roots.to_string());
            list.identity(identity.as_ref());
            if let Some(name) = server_name {
                list.text("server-name", name);
            }
            list.text("min-version", min_version.as_str());
            list.plain("insecure-skip-verify", insecure_skip_verify.to_string());
        });
    }

    fn remote_write(&mut self, write: &'a RemoteWrite) {
        let RemoteWrite {
            enabled,
            local_writes,
            targets,
        } = write;
        self.plain("enabled", enabled.to_string());
        let disabled = *local_writes == LocalWrites::Discard;
        self.plain("disable-local-writes", disabled.to_string());
        if targets.is_empty() {
            self.add("targets", Value::EmptyMap);
        }
        self.section("targets", |list| {
            for target in targets {
                list.section(&target.name, |list| list.target(target));
            }
        });
    }

    fn target(&mut self, target: &'a Target) {
        let Target {
            name: _,
            address,
            tls,
            credentials,
            tenant,
            headers,
            tags,
            tag_keys,
            paths,
            timeout,
            queue_size,
            queue_bytes,
            queue_workers,
            on_full,
            max_age,
            on_ambiguous,
            replay_rate,
            shared_max_bytes,
            outcomes,
        } = target;
        self.text("address", address.to_string());
        self.outgoing_tls(tls.as_ref());
        match credentials {
            None => {}
            Some(Credentials::Bearer(token)) => self.add("auth-token", Value::Secret(token)),
            Some(Credentials::Basic { user, password }) => {
                self.add("basic-auth-user", Value::Secret(user));
                self.add("basic-auth-password", Value::Secret(password));
            }
        }
        if let Some(tenant) = tenant {
            self.text("tenant-id", tenant);
        }
        self.section("headers", |list| {
            for (name, value) in headers {
                list.add(name.as_str(), Value::Secret(value));
            }
        });
        self.section("tags", |list| {
            for (key, value) in tags.iter() {
                list.text(key, value);
            }
        });
        self.plain("tag-keys", word_for(*tag_keys, TAG_KEYS));
        self.section("paths", |list| {
            for (surface, path) in paths.own() {
                list.text(surface, path);
            }
        });
        self.plain("timeout", format_duration(*timeout));
        self.plain("queue-size", queue_size.to_string());
        self.plain("queue-bytes", format_size(*queue_bytes));
        self.plain("queue-workers", queue_workers.to_string());
        self.plain("on-full", word_for(*on_full, ON_FULL));
        self.plain("max-age", format_duration(max_age.unwrap_or_default()));
        self.plain("on-ambiguous", word_for(*on_ambiguous, ON_AMBIGUOUS));
        let rate = replay_rate.map_or(0, NonZeroU64::get);
        self.plain("replay-rate", format_size(rate));
        if let Some(bytes) = shared_max_bytes {
            self.plain("shared-max-bytes", format_size(*bytes));
        }
        self.section("outcomes", |list| {
            for rule in outcomes.own() {
                list.add(rule.pattern(), Value::Rule(rule.meaning().as_str()));
            }
        });
    }
}
