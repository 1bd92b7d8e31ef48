//! The entries of pull mode. An entry of a list is a section `KEY[NAME]`, which [`list_key`] recognises.

use http::{HeaderMap, HeaderValue, header::HeaderName};
use pyroscope_wire::scrape::{Group, Profile, default_profiles};
use pyrotee_scrape_config::{
    FileDiscovery, HttpClientSettings, HttpDiscovery, Job, JobProfile, KEY, Limits, Scheme, Scrape,
};
use pyrotee_tls::ClientTlsSettings;
use pyrotee_yaml::values::{format_duration, format_size};

use super::{List, Value};
use crate::sections::TENANT;

const GROUPS: &str = "static-configs";
const FILES: &str = "file-sd-configs";
const URLS: &str = "http-sd-configs";

/// The key of the list that a section is an entry of; `None` if it is a section of its own.
pub(crate) fn list_key(section: &str) -> Option<&str> {
    let (key, _) = section.split_once('[')?;
    [KEY, GROUPS, FILES, URLS].contains(&key).then_some(key)
}

impl<'a> List<'a> {
    pub(super) fn scrape(&mut self, scrape: &'a Scrape) {
        let Scrape {
            jobs,
            limits,
            headers,
        } = scrape;
        self.section("scrape", |list| {
            list.limits(limits);
            list.scrape_headers(headers);
        });
        for job in jobs {
            self.section(format!("{KEY}[{}]", job.name), |list| list.job(job));
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            max_body,
            max_unpacked,
            max_targets,
            max_concurrent,
            state_limit,
        } = limits;
        self.plain("max-body", format_size(*max_body));
        self.plain("max-unpacked", format_size(*max_unpacked));
        self.plain("max-targets", max_targets.to_string());
        self.plain("max-concurrent", max_concurrent.to_string());
        self.plain("state-limit", format_size(*state_limit));
    }

    fn scrape_headers(&mut self, headers: &'a HeaderMap) {
        let is_tenant =
            |(name, value): &(&HeaderName, &HeaderValue)| **name == TENANT && !value.is_sensitive();
        let (tenant, others): (Vec<_>, Vec<_>) = headers.iter().partition(is_tenant);
        for (_, tenant) in tenant {
            self.text("tenant-id", String::from_utf8_lossy(tenant.as_bytes()));
        }
        self.section("headers", |list| {
            for (name, value) in others {
                list.add(name.as_str(), Value::Credential(value));
            }
        });
    }

    fn job(&mut self, job: &'a Job) {
        let Job {
            name,
            interval,
            timeout,
            scheme,
            max_body,
            profiles,
            static_groups,
            file_discoveries,
            http_discoveries,
            client,
        } = job;
        self.text("job-name", name);
        self.plain("scrape-interval", format_duration(*interval));
        if let Some(timeout) = timeout {
            self.plain("scrape-timeout", format_duration(*timeout));
        }
        self.plain("scheme", Scheme::as_str(*scheme));
        self.plain("body-size-limit", format_size(max_body.unwrap_or_default()));
        let enabled = profiles.iter().filter(|(_, profile)| profile.is_enabled);
        self.list("enabled-profiles", enabled.map(|(name, _)| name.as_str()));
        let defaults = default_profiles(false);
        self.section("profiles", |list| {
            for (name, JobProfile { profile, .. }) in profiles {
                if defaults.get(name) != Some(profile) {
                    list.section(name, |list| list.profile(profile));
                }
            }
        });
        for (number, group) in (1..).zip(static_groups) {
            self.section(format!("{GROUPS}[{number}]"), |list| list.group(group));
        }
        for (number, FileDiscovery { files, interval }) in (1..).zip(file_discoveries) {
            self.section(format!("{FILES}[{number}]"), |list| {
                list.list("files", files.iter().map(|file| file.to_string_lossy()));
                list.plain("refresh-interval", format_duration(*interval));
            });
        }
        for (number, discovery) in (1..).zip(http_discoveries) {
            let HttpDiscovery {
                url,
                interval,
                client,
            } = discovery;
            self.section(format!("{URLS}[{number}]"), |list| {
                list.text("url", url.to_string());
                list.plain("refresh-interval", format_duration(*interval));
                list.client(client);
            });
        }
        self.client(client);
    }

    fn profile(&mut self, profile: &'a Profile) {
        let Profile {
            path,
            params,
            sample_types,
        } = profile;
        self.text("path", path);
        self.section("params", |list| {
            for (name, values) in params {
                list.list(name, values.iter().map(String::as_str));
            }
        });
        self.section("sample-types", |list| {
            for (name, sample_type) in sample_types {
                list.section(name, |list| {
                    let texts = [
                        ("units", &sample_type.units),
                        ("display-name", &sample_type.display_name),
                        ("aggregation", &sample_type.aggregation),
                    ];
                    for (key, text) in texts {
                        if let Some(text) = text {
                            list.text(key, text);
                        }
                    }
                    list.plain("cumulative", sample_type.cumulative.to_string());
                    list.plain("sampled", sample_type.sampled.to_string());
                });
            }
        });
    }

    fn group(&mut self, group: &'a Group) {
        let Group {
            application,
            spy_name,
            targets,
            labels,
        } = group;
        self.text("application", application);
        if let Some(spy_name) = spy_name {
            self.text("spy-name", spy_name);
        }
        self.list("targets", targets.iter().map(String::as_str));
        self.section("labels", |list| {
            for (name, value) in labels {
                list.text(name, value);
            }
        });
    }

    fn client(&mut self, client: &'a HttpClientSettings) {
        let HttpClientSettings {
            authorization,
            tls,
            follow_redirects,
        } = client;
        if let Some(value) = authorization {
            self.authorization(value);
        }
        if let Some(settings) = tls.as_ref().and_then(|tls| tls.settings()) {
            self.section("tls-config", |list| list.scrape_tls(settings));
        }
        self.plain("follow-redirects", follow_redirects.to_string());
    }

    /// The header in the keys that it can be read from.
    fn authorization(&mut self, value: &'a HeaderValue) {
        let kind = value.to_str().ok().and_then(|text| text.split_once(' '));
        let kind = kind.map_or("", |(kind, _)| kind);
        match kind {
            "Bearer" => self.add("bearer-token", Value::Credential(value)),
            "Basic" => self.section("basic-auth", |list| {
                list.add("username", Value::Credential(value));
                list.add("password", Value::Credential(value));
            }),
            _ => self.section("authorization", |list| {
                list.text("type", kind);
                list.add("credentials", Value::Credential(value));
            }),
        }
    }

    fn scrape_tls(&mut self, settings: &'a ClientTlsSettings) {
        // `system_roots` and `min_version` have no key in 0.37.
        self.file("ca-file", settings.ca.as_ref());
        self.identity(settings.identity.as_ref());
        if let Some(name) = &settings.server_name {
            self.text("server-name", name);
        }
        let skip = settings.insecure_skip_verify;
        self.plain("insecure-skip-verify", skip.to_string());
    }
}
