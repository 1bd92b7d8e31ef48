//! The effective configuration as YAML, with secrets left out.
//!
//! The output is valid input: every text that is not a plain word is quoted, and every `$` is doubled.
//! A configuration read from the output has the same settings except the secrets.

use std::{
    fmt::Write,
    num::{NonZeroU64, NonZeroUsize},
};

use crate::{
    sections::{DUPLICATES, FORMATS, FSYNC, LEVELS, ON_AMBIGUOUS, ON_FULL, TAG_KEYS, TEE_ON},
    settings::{Config, Credentials, LocalWrites, Target},
    values::{format_duration, format_size, word_for},
};

const REDACTED: &str = "<redacted>";

impl Config {
    /// All keys with their effective values as YAML, in the order of the documentation. Tokens,
    /// users, passwords and values of headers are `<redacted>`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = Yaml::default();
        out.value(0, "listen", &self.listen.to_string());
        out.value(0, "admin", &self.admin.to_string());
        if self.admin_token.is_some() {
            out.value(0, "admin-token", REDACTED);
        }
        if !self.admin_hosts.is_empty() {
            out.value(0, "admin-hosts", &self.admin_hosts.join(", "));
        }
        if let Some(upstream) = &self.upstream {
            out.open(0, "upstream");
            out.value(1, "address", &upstream.address.to_string());
            out.plain(1, "timeout", &format_duration(upstream.timeout));
            out.plain(
                1,
                "forwarded-headers",
                &upstream.forwarded_headers.to_string(),
            );
            let connections = upstream.max_connections.map_or(0, NonZeroUsize::get);
            out.plain(1, "max-connections", &connections.to_string());
        }
        out.plain(0, "memory-limit", &format_size(self.memory_limit));
        out.open(0, "tee");
        out.plain(1, "max-body", &format_size(self.tee.max_body));
        out.plain(1, "on", word_for(self.tee.on, TEE_ON));
        out.plain(1, "duplicates", word_for(self.tee.duplicates, DUPLICATES));
        if let Some(spool) = &self.spool {
            out.open(0, "spool");
            out.value(1, "dir", &spool.dir.to_string_lossy());
            out.plain(1, "max-bytes", &format_size(spool.max_bytes));
            out.plain(1, "segment-bytes", &format_size(spool.segment_bytes));
            out.plain(1, "fsync", word_for(spool.fsync, FSYNC));
        }
        if let Some(letters) = &self.dead_letters {
            out.open(0, "dead-letters");
            out.value(1, "dir", &letters.dir.to_string_lossy());
            out.plain(1, "max-bytes", &format_size(letters.max_bytes));
        } else if self.spool.is_some() {
            // With a spool the default is to keep dead letters, so the 0 is written.
            out.open(0, "dead-letters");
            out.plain(1, "max-bytes", "0");
        }
        out.open(0, "shutdown");
        out.plain(1, "grace", &format_duration(self.shutdown_grace));
        out.open(0, "log");
        out.plain(1, "level", word_for(self.log.level, LEVELS));
        out.plain(1, "format", word_for(self.log.format, FORMATS));
        out.open(0, "remote-write");
        let write = &self.remote_write;
        out.plain(1, "enabled", &write.enabled.to_string());
        let disabled = write.local_writes == LocalWrites::Discard;
        out.plain(1, "disable-local-writes", &disabled.to_string());
        if write.targets.is_empty() {
            out.line(1, "targets: {}");
        } else {
            out.open(1, "targets");
        }
        for target in &write.targets {
            out.target(target);
        }
        out.0
    }
}

#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn target(&mut self, target: &Target) {
        self.open(2, &target.name);
        self.value(3, "address", &target.address.to_string());
        match &target.credentials {
            None => {}
            Some(Credentials::Bearer(_)) => self.value(3, "auth-token", REDACTED),
            Some(Credentials::Basic { .. }) => {
                self.value(3, "basic-auth-user", REDACTED);
                self.value(3, "basic-auth-password", REDACTED);
            }
        }
        if let Some(tenant) = &target.tenant {
            self.value(3, "tenant-id", tenant);
        }
        if !target.headers.is_empty() {
            self.open(3, "headers");
        }
        for (name, _) in &target.headers {
            self.value(4, name.as_str(), REDACTED);
        }
        if !target.tags.is_empty() {
            self.open(3, "tags");
        }
        for (key, value) in target.tags.iter() {
            self.value(4, key, value);
        }
        self.plain(3, "tag-keys", word_for(target.tag_keys, TAG_KEYS));
        if target.paths.own().next().is_some() {
            self.open(3, "paths");
        }
        for (surface, path) in target.paths.own() {
            self.value(4, surface, path);
        }
        self.plain(3, "timeout", &format_duration(target.timeout));
        self.plain(3, "queue-size", &target.queue_size.to_string());
        self.plain(3, "queue-bytes", &format_size(target.queue_bytes));
        self.plain(3, "queue-workers", &target.queue_workers.to_string());
        self.plain(3, "on-full", word_for(target.on_full, ON_FULL));
        let max_age = target.max_age.unwrap_or_default();
        self.plain(3, "max-age", &format_duration(max_age));
        let on_ambiguous = word_for(target.on_ambiguous, ON_AMBIGUOUS);
        self.plain(3, "on-ambiguous", on_ambiguous);
        let rate = target.replay_rate.map_or(0, NonZeroU64::get);
        self.plain(3, "replay-rate", &format_size(rate));
        let rules = target.outcomes.own();
        if !rules.is_empty() {
            self.open(3, "outcomes");
        }
        for rule in rules {
            self.value(4, &rule.pattern(), rule.meaning().as_str());
        }
    }

    fn line(&mut self, depth: usize, text: &str) {
        for _ in 0..depth {
            self.0.push_str("  ");
        }
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn open(&mut self, depth: usize, key: &str) {
        self.line(depth, &format!("{}:", quoted(key)));
    }

    /// Writes a value that pyrotee formats, which needs no quotes.
    fn plain(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{key}: {value}"));
    }

    /// Writes a text of the user, quoted where YAML needs it.
    fn value(&mut self, depth: usize, key: &str, value: &str) {
        let value = quoted(&value.replace('$', "$$"));
        self.line(depth, &format!("{}: {value}", quoted(key)));
    }
}

/// A YAML scalar: bare if every reader parses it as this text, else in double quotes. A text that begins
/// with a digit is quoted, because readers may parse it as a number or a date.
fn quoted(text: &str) -> String {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./".contains(&b);
    let url = text.starts_with("http://") || text.starts_with("https://");
    let inner = text.bytes().all(|b| plain(b) || url && b == b':') && !text.ends_with(':');
    if first && inner && !is_ambiguous(text) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // NEL and the Unicode line separators break lines for YAML 1.1 readers.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes all that is written");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether YAML 1.1 or 1.2 readers parse the text as null or a boolean.
fn is_ambiguous(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}
