//! All keys of the block, which the documentation lists as well.

/// Keys of a job, beside [`CLIENT`].
pub(super) const JOB: &[&str] = &[
    "job-name",
    "scrape-interval",
    "scrape-timeout",
    "scheme",
    "body-size-limit",
    "enabled-profiles",
    "profiles",
    "use-delta-profiles",
    "static-configs",
    "file-sd-configs",
    "http-sd-configs",
];

/// Keys of a job and of an entry of `http-sd-configs` that say how a server is asked.
pub(super) const CLIENT: &[&str] = &[
    "basic-auth",
    "authorization",
    "bearer-token",
    "bearer-token-file",
    "tls-config",
    "follow-redirects",
];

pub(super) const PROFILE: &[&str] = &["path", "params", "sample-types"];

pub(super) const SAMPLE_TYPE: &[&str] = &[
    "units",
    "display-name",
    "aggregation",
    "cumulative",
    "sampled",
];

pub(super) const GROUP: &[&str] = &["application", "spy-name", "targets", "labels"];

pub(super) const FILES: &[&str] = &["files", "refresh-interval"];

/// Keys of an entry of `http-sd-configs`, beside [`CLIENT`].
pub(super) const HTTP: &[&str] = &["url", "refresh-interval"];

pub(super) const BASIC_AUTH: &[&str] = &["username", "password", "password-file"];

pub(super) const AUTHORIZATION: &[&str] = &["type", "credentials", "credentials-file"];

pub(super) const TLS: &[&str] = &[
    "ca-file",
    "cert-file",
    "key-file",
    "server-name",
    "insecure-skip-verify",
];

/// The paths of all keys of a job that have a value of their own, as the documentation writes them: `NAME` is a name of the
/// user's choice, `[]` an entry of a list. An entry of `http-sd-configs` also takes the keys of a job about its HTTP client.
pub fn job_keys() -> Vec<String> {
    let sections = [
        ("", JOB),
        ("", CLIENT),
        ("profiles.NAME", PROFILE),
        ("profiles.NAME.params.NAME", &[]),
        ("profiles.NAME.sample-types.NAME", SAMPLE_TYPE),
        ("static-configs[]", GROUP),
        ("static-configs[].labels.NAME", &[]),
        ("file-sd-configs[]", FILES),
        ("http-sd-configs[]", HTTP),
        ("basic-auth", BASIC_AUTH),
        ("authorization", AUTHORIZATION),
        ("tls-config", TLS),
    ];
    let mut keys = Vec::new();
    for (section, of) in sections {
        let path = |key: &&str| {
            format!("{section}.{key}")
                .trim_start_matches('.')
                .to_owned()
        };
        match of {
            [] => keys.push(section.to_owned()),
            _ => keys.extend(of.iter().map(path)),
        }
    }
    let is_section = |key: &String| {
        sections.iter().any(|(section, _)| {
            let below = section.strip_prefix(key.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
        })
    };
    let is_map = |key: &String| key.ends_with(".NAME");
    keys.retain(|key| is_map(key) || !is_section(key));
    keys
}
