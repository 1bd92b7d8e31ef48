//! The keys of one job.

use std::time::Duration;

use pyrotee_yaml::values;

use super::{
    client, discoveries,
    interval::interval,
    keys, labels, profiles,
    section::Section,
    static_groups::{self, is_service},
};
use crate::{Job, Scheme};

/// Keys of 0.37 that pyrotee does not have, and the way out.
const REFUSED: [(&str, &str); 4] = [
    (
        "kubernetes-sd-configs",
        "is not in this version, but planned for a later one; use file-sd-configs or http-sd-configs, or put Alloy in \
         front",
    ),
    (
        "consul-sd-configs",
        "is not supported in this version; use file-sd-configs or http-sd-configs, or put Alloy in front",
    ),
    (
        "ec2-sd-configs",
        "is not supported in this version; use file-sd-configs or http-sd-configs, or put Alloy in front",
    ),
    (
        "relabel-configs",
        "is not in this version, but planned for a later one; write the labels into the groups, or put Alloy in front",
    ),
];

/// The default of `scrape-interval`.
const INTERVAL: Duration = Duration::from_secs(10);

/// Words for `scheme`.
pub(super) const SCHEMES: [(&str, Scheme); 2] = [("http", Scheme::Http), ("https", Scheme::Https)];

/// Reads a job. Where a fault was added, the job has a default.
pub(super) fn job(section: &Section<'_>) -> Job {
    let refused: Vec<_> = REFUSED.iter().chain(&client::REFUSED).copied().collect();
    section.check_keys(&[keys::JOB, keys::CLIENT], &refused);
    let timeout = section.parse("scrape-timeout", values::duration);
    let timeout = timeout.filter(|timeout| !timeout.is_zero());
    let job = Job {
        name: name(section),
        interval: interval(section, "scrape-interval", INTERVAL),
        timeout,
        scheme: section
            .parse("scheme", |text| values::word(text, &SCHEMES))
            .unwrap_or_default(),
        max_body: section
            .parse("body-size-limit", values::size_or_none)
            .flatten(),
        profiles: profiles::profiles(section, timeout),
        static_groups: static_groups::groups(section),
        file_discoveries: discoveries::files(section),
        http_discoveries: discoveries::http(section),
        client: client::settings(section),
    };
    warn(section, &job);
    job
}

/// The name, which is the value of the label `job`.
fn name(section: &Section<'_>) -> String {
    if !section.has("job-name") {
        section.fault(
            "job-name",
            "is missing; give the job a name, which becomes the label `job`",
        );
        return String::new();
    }
    let Some(name) = section.scalar("job-name") else {
        return String::new();
    };
    if name.text.is_empty() {
        section.fault(
            "job-name",
            "is empty; give the job a name, which becomes the label `job`",
        );
    } else if let Some(problem) = labels::value_problem(&name.text) {
        section.fault("job-name", &problem);
    }
    name.text
}

/// Warns of what is allowed but probably not meant.
fn warn(section: &Section<'_>, job: &Job) {
    let enabled = || job.profiles.values().filter(|it| it.is_enabled);
    // A label of a scrape target can enable a profile, so a job without enabled profiles is valid.
    if enabled().next().is_none() {
        let known: Vec<_> = job.profiles.keys().map(String::as_str).collect();
        section.warn(
            "enabled-profiles",
            &format!(
                "no profile is enabled, so nothing is scraped but what a label `__profile_NAME_enabled` enables; \
                 enable some of {}",
                known.join(", ")
            ),
        );
    }
    let has_static = job.static_groups.iter().any(|it| !it.targets.is_empty());
    if !has_static && job.file_discoveries.is_empty() && job.http_discoveries.is_empty() {
        let text = "has no scrape targets; add static-configs, file-sd-configs or http-sd-configs";
        section.warn("", text);
    }
    let is_cumulative =
        enabled().any(|it| it.profile.sample_types.values().any(|it| it.cumulative));
    let targets = job.static_groups.iter().flat_map(|it| &it.targets);
    if is_cumulative && let Some(service) = targets.into_iter().find(|it| is_service(it)) {
        section.warn(
            "static-configs",
            &format!(
                "`{service}` is the name of a Service: the differences of cumulative profiles (memory, mutex, block) \
                 mix its processes; name the processes one by one, or set `use-delta-profiles`"
            ),
        );
    }
}
