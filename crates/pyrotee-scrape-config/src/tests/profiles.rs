use std::time::Duration;

use pyroscope_wire::scrape::default_profiles;

use super::{faults, job};

#[test]
fn a_job_has_the_defaults_of_0_37() {
    let job = job("scrape-interval: 0\nscrape-timeout: 0\nbody-size-limit: 0\nprofiles: ~\n");
    assert_eq!(
        (job.interval, job.timeout, job.max_body),
        (Duration::from_secs(10), None, None)
    );
    let names: Vec<_> = job.profiles.keys().map(String::as_str).collect();
    assert_eq!(names, ["block", "cpu", "goroutines", "mem", "mutex"]);
    for (name, default) in default_profiles(false) {
        assert_eq!(job.profiles[&name].profile, default);
        assert_eq!(job.profiles[&name].is_enabled, name == "cpu");
    }
}

#[test]
fn a_profile_is_merged_over_the_default_of_its_name() {
    let lines = "enabled-profiles: [cpu, mem]\nprofiles:\n  cpu: { path: /p, params: { debug: ['0'], seconds: [] } }\n  \
                 mem: { sample-types: { alloc_space: { cumulative: false }, other: {} } }";
    let job = job(lines);
    let cpu = &job.profiles["cpu"].profile;
    assert_eq!(
        (cpu.path.as_str(), cpu.params["seconds"][0].as_str()),
        ("/p", "10")
    );
    assert_eq!(cpu.params["debug"], ["0"]);
    assert_eq!(
        cpu.sample_types["samples"].display_name.as_deref(),
        Some("cpu")
    );
    let types = &job.profiles["mem"].profile.sample_types;
    assert_eq!(types.len(), 5);
    assert_eq!(types["alloc_space"].units.as_deref(), Some("bytes"));
    assert!(!types["alloc_space"].cumulative && types["alloc_objects"].cumulative);
}

#[test]
fn own_profiles_need_a_path_and_types() {
    for (profile, fault) in [
        ("{ sample-types: { a: {} } }", "profiles.x.path: is missing"),
        ("{ path: /p }", "profiles.x.sample-types: is missing"),
        (
            "{ path: p, sample-types: { a: {} } }",
            "path: `p` does not begin with `/`",
        ),
        (
            "{ path: '/p?x=1', sample-types: { a: {} } }",
            "has a query; write its parameters under `params`",
        ),
        (
            "{ path: '/a b', sample-types: { a: {} } }",
            "is no path of a URL",
        ),
        (
            "{ path: /p, sample-types: { a: { aggregation: max } } }",
            "aggregation: `max` is not known; write one of sum, average",
        ),
        (
            "{ path: /p, sample-types: { a: { unit: x } } }",
            "sample-types.a.unit: unknown key; did you mean `units`?",
        ),
        (
            "{ path: /p, params: { a: b }, sample-types: { a: {} } }",
            "params.a: takes a list",
        ),
        ("5", "profiles.x: takes keys of its own"),
    ] {
        let found = faults(&format!("profiles: {{ x: {profile} }}"));
        assert_eq!(found.len(), 1, "{profile}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
    let found = faults("profiles: { 'a b': { path: /p, sample-types: { a: {} } } }");
    assert!(
        found[0].contains("a profile's name has letters"),
        "{found:?}"
    );
}

#[test]
fn seconds_must_fit_the_timeout_and_the_kind_of_profile() {
    let params = |name: &str, seconds: &str| {
        format!("profiles: {{ {name}: {{ params: {{ seconds: {seconds} }} }} }}")
    };
    for (lines, fault) in [
        (
            params("cpu", "[x]"),
            "cpu.params.seconds: is no whole number",
        ),
        (
            params("cpu", "['1.5']"),
            "cpu.params.seconds: is no whole number",
        ),
        (
            params("cpu", "['0']"),
            "cpu.params.seconds: is no whole number",
        ),
        (
            params("cpu", "['1', '2']"),
            "cpu.params.seconds: has more than one value",
        ),
        (
            params("mem", "['30']"),
            "mem.params.seconds: makes the application send the difference",
        ),
        (
            params("mutex", "['30']"),
            "mutex.params.seconds: makes the application send the difference",
        ),
        (
            params("goroutines", "['30']"),
            "goroutines.params.seconds: makes the application send the difference",
        ),
        (
            format!("use-delta-profiles: true\n{}", params("block", "['30']")),
            "block.params.seconds: is for profiles that take a time",
        ),
        (
            format!("scrape-timeout: 30s\n{}", params("cpu", "['30']")),
            "cpu.params.seconds: the application collects for 30s, and scrape-timeout is 30s; raise",
        ),
        (
            "scrape-timeout: 10s".to_owned(),
            "scrape-timeout: of the profile `cpu`: the application collects for 10s, and scrape-timeout is 10s",
        ),
    ] {
        let found = faults(&lines);
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
    assert_eq!(job(&params("cpu", "['60']")).timeout, None);
    let long = job(&format!("scrape-timeout: 31s\n{}", params("cpu", "['30']")));
    assert_eq!(long.timeout, Some(Duration::from_secs(31)));
    // The profile `cpu` is not enabled here.
    job("enabled-profiles: [mem]\nscrape-timeout: 5s");
}
