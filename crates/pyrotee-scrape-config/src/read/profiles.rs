//! The profiles of a job: the defaults of 0.37, `profiles` over them, and `enabled-profiles`.

use std::collections::BTreeMap;
use std::time::Duration;

use pyroscope_wire::scrape::{Profile, SampleType, default_profiles};
use pyrotee_yaml::{nearest, values};

use super::{keys, section::Section};
use crate::JobProfile;

/// Words for `aggregation`.
const AGGREGATIONS: [(&str, &str); 2] = [("sum", "sum"), ("average", "average")];

/// Last segments of paths whose profiles are states or sums since the start of an application.
const SNAPSHOTS: [&str; 5] = ["heap", "allocs", "goroutine", "mutex", "block"];

/// Reads the profiles of a job. `timeout` is its `scrape-timeout`, if it is given.
pub(super) fn profiles(
    job: &Section<'_>,
    timeout: Option<Duration>,
) -> BTreeMap<String, JobProfile> {
    let delta = job.parse("use-delta-profiles", values::boolean);
    let mut profiles = default_profiles(delta.unwrap_or_default());
    let own = job.section("profiles");
    for name in own.iter().flat_map(Section::keys) {
        let Some(section) = own.as_ref().and_then(|own| own.section(name)) else {
            continue;
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) {
            section.fault(
                "",
                "a profile's name has letters, digits, `_` and `-`; choose another",
            );
        }
        let default = profiles.remove(name);
        profiles.insert(name.to_owned(), profile(&section, default));
    }
    let enabled = enabled(job, &profiles);
    let mut found = BTreeMap::new();
    for (name, profile) in profiles {
        let is_enabled = enabled.contains(&name);
        let section = own.as_ref().and_then(|own| own.section(&name));
        if is_enabled || section.is_some() {
            check_seconds(job, section.as_ref(), &name, &profile, timeout);
        }
        let profile = JobProfile {
            profile,
            is_enabled,
        };
        found.insert(name, profile);
    }
    found
}

/// The names in `enabled-profiles`.
fn enabled(job: &Section<'_>, profiles: &BTreeMap<String, Profile>) -> Vec<String> {
    let names = job.scalars("enabled-profiles");
    for name in &names {
        if profiles.contains_key(&name.text) {
            continue;
        }
        let known = || profiles.keys().map(String::as_str);
        let problem = match nearest(&name.text, known()) {
            Some(meant) => format!("is no profile; did you mean `{meant}`?"),
            None => {
                let known: Vec<_> = known().collect();
                format!(
                    "is no profile; define it under `profiles`, or write one of {}",
                    known.join(", ")
                )
            }
        };
        job.fault_of(name, &problem);
    }
    names.into_iter().map(|name| name.text).collect()
}

/// Reads the keys of a profile over those of the default one of its name.
fn profile(section: &Section<'_>, default: Option<Profile>) -> Profile {
    section.check_keys(
        &[keys::PROFILE],
        &[(
            "all-sample-types",
            "has no effect in Pyroscope 0.37 either; list the types under `sample-types`",
        )],
    );
    let is_own = default.is_none();
    let mut profile = default.unwrap_or_else(|| Profile {
        path: String::new(),
        params: BTreeMap::new(),
        sample_types: BTreeMap::new(),
    });
    if is_own && !section.has("path") {
        section.fault(
            "path",
            "is missing; write the path of the profile, such as /debug/pprof/heap",
        );
    }
    if let Some(path) = section.parse("path", path) {
        profile.path = path;
    }
    if let Some(params) = section.section("params") {
        for key in params.keys() {
            let values: Vec<_> = params.scalars(key).into_iter().map(|it| it.text).collect();
            // An empty list means the default, as in 0.37.
            if !values.is_empty() {
                profile.params.insert(key.to_owned(), values);
            }
        }
    }
    if let Some(types) = section.section("sample-types") {
        for name in types.keys() {
            if let Some(keys) = types.section(name) {
                let default = profile.sample_types.remove(name);
                let sample_type = sample_type(&keys, default.unwrap_or_default());
                profile.sample_types.insert(name.to_owned(), sample_type);
            }
        }
    }
    if profile.sample_types.is_empty() {
        let text = "is missing; list the types of values to store by their names in the profile, such as \
                    `samples: { units: samples }`";
        section.fault("sample-types", text);
    }
    profile
}

/// The path of a profile.
fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("does not begin with `/`; write a path such as /debug/pprof/heap".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err("has a query; write its parameters under `params`".to_owned());
    }
    let is_graphic = text.bytes().all(|b| b.is_ascii_graphic());
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(_) if is_graphic => Ok(text.to_owned()),
        _ => Err("is no path of a URL; percent-encode its characters".to_owned()),
    }
}

fn sample_type(section: &Section<'_>, default: SampleType) -> SampleType {
    section.check_keys(&[keys::SAMPLE_TYPE], &[]);
    let aggregation = section.parse("aggregation", |text| values::word(text, &AGGREGATIONS));
    let cumulative = section.parse("cumulative", values::boolean);
    let sampled = section.parse("sampled", values::boolean);
    SampleType {
        units: section.text("units").or(default.units),
        display_name: section.text("display-name").or(default.display_name),
        aggregation: aggregation.map(str::to_owned).or(default.aggregation),
        cumulative: cumulative.unwrap_or(default.cumulative),
        sampled: sampled.unwrap_or(default.sampled),
    }
}

/// Checks the parameter `seconds`, for which the application collects the profile. `own` has the keys of the profile.
fn check_seconds(
    job: &Section<'_>,
    own: Option<&Section<'_>>,
    name: &str,
    profile: &Profile,
    timeout: Option<Duration>,
) {
    let params = own.and_then(|own| own.section("params"));
    let fault = |text: &str| match &params {
        Some(params) if params.has("seconds") => params.fault("seconds", text),
        _ => job.fault(
            "scrape-timeout",
            &format!("of the profile `{name}`: {text}"),
        ),
    };
    let Some(seconds) = profile.params.get("seconds") else {
        return;
    };
    let [seconds] = seconds.as_slice() else {
        fault("has more than one value; keep one");
        return;
    };
    let whole = seconds.parse::<u32>().ok().filter(|seconds| *seconds > 0);
    let Some(seconds) = whole else {
        fault("is no whole number of seconds; write one such as 10");
        return;
    };
    let last = profile.path.rsplit('/').next().unwrap_or_default();
    if profile.sample_types.values().any(|it| it.cumulative) || SNAPSHOTS.contains(&last) {
        fault(
            "makes the application send the difference of two profiles, which ruins values of the present such as \
             `inuse_space`, and of which the relay would compute a difference again; remove it",
        );
    } else if last.starts_with("delta_") {
        fault(
            "is for profiles that take a time; the path reports differences already, so remove it",
        );
    } else if let Some(timeout) = timeout.filter(|it| *it <= Duration::from_secs(seconds.into())) {
        let timeout = values::format_duration(timeout);
        fault(&format!(
            "the application collects for {seconds}s, and scrape-timeout is {timeout}; raise scrape-timeout, or remove \
             it: its default is long enough"
        ));
    }
}
