use pyroscope_wire::scrape::default_profiles;
use pyrotee_scrape_config::{HttpClientSettings, Scheme};

use super::*;

/// A job that scrapes `enabled` each 10 s.
pub(crate) fn job(enabled: &[&str]) -> Job {
    let profiles = default_profiles(false).into_iter();
    let profiles = profiles.map(|(name, profile)| {
        let is_enabled = enabled.contains(&name.as_str());
        (
            name,
            JobProfile {
                profile,
                is_enabled,
            },
        )
    });
    Job {
        name: "shop".to_owned(),
        interval: Duration::from_secs(10),
        timeout: None,
        scheme: Scheme::Http,
        max_body: None,
        profiles: profiles.collect(),
        static_groups: Vec::new(),
        file_discoveries: Vec::new(),
        http_discoveries: Vec::new(),
        client: HttpClientSettings::default(),
    }
}

pub(crate) fn group(targets: &[&str], labels: &[(&str, &str)]) -> Group {
    let labels = labels.iter();
    Group {
        application: "app".to_owned(),
        spy_name: None,
        targets: targets.iter().map(|&it| it.to_owned()).collect(),
        labels: labels
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    }
}

/// The scrape targets of `address` in `job`, or the reasons why there are none.
fn targets(
    job: &Job,
    address: &str,
    labels: &[(&str, &str)],
) -> Result<Vec<ScrapeTarget>, Vec<String>> {
    let mut dropped = Vec::new();
    let group = group(&[address], labels);
    let targets = of_address(job, &group, address, Origin::Static, &mut dropped);
    let reasons: Vec<_> = dropped.into_iter().map(|it| it.reason).collect();
    match reasons.is_empty() {
        true => Ok(targets),
        false => Err(reasons),
    }
}

fn only(job: &Job, address: &str, labels: &[(&str, &str)]) -> ScrapeTarget {
    let mut targets = targets(job, address, labels).unwrap();
    assert_eq!(targets.len(), 1);
    targets.remove(0)
}

fn reason(job: &Job, address: &str, labels: &[(&str, &str)]) -> String {
    targets(job, address, labels).unwrap_err().remove(0)
}

#[test]
fn an_address_has_one_scrape_target_for_each_enabled_profile() {
    let job = job(&["cpu", "mem"]);
    let found = targets(
        &job,
        "h1:6060",
        &[("env", "dev"), ("__meta_url", "u"), ("gone", "")],
    );
    let found = found.unwrap();
    let urls: Vec<_> = found.iter().map(|it| it.url.to_string()).collect();
    let expected = [
        "http://h1:6060/debug/pprof/profile?seconds=10",
        "http://h1:6060/debug/pprof/heap",
    ];
    assert_eq!(urls, expected);
    for target in &found {
        assert_eq!(target.name, "app{env=dev,instance=h1:6060,job=shop}");
        assert_eq!(target.spy_name, "gospy");
        assert_eq!(target.interval, job.interval);
        assert!(!target.labels.contains_key("__meta_url"));
        assert!(!target.labels.contains_key("gone"));
        assert_eq!(target.discovered["__meta_url"], "u");
        assert_eq!(target.discovered["__address__"], "h1:6060");
        assert_eq!(target.discovered["__scrape_interval__"], "10s");
        assert_eq!(target.discovered["__scrape_timeout__"], "15s");
        assert!(!target.discovered.contains_key("instance"));
    }
    assert_eq!(found[0].seconds, Some(Duration::from_secs(10)));
    assert_eq!(found[1].seconds, None);
}

#[test]
fn labels_override_what_the_job_says() {
    let job = job(&["mem"]);
    let labels = [
        ("job", "other"),
        ("instance", "here"),
        ("__scheme__", "https"),
        ("__spy_name__", "rbspy"),
        ("__address__", "ignored:1"),
        ("__name__", "ignored"),
        ("__scrape_interval__", "1m"),
        ("__scrape_timeout__", "500ms"),
    ];
    let target = only(&job, "h1", &labels);
    assert_eq!(target.url.to_string(), "https://h1/debug/pprof/heap");
    assert_eq!(target.labels["__address__"], "h1:443");
    assert_eq!(target.name, "app{instance=here,job=other}");
    assert_eq!(target.spy_name, "rbspy");
    assert_eq!(target.interval, Duration::from_secs(60));
    assert_eq!(target.timeout, Duration::from_millis(500));
}

#[test]
fn an_address_gets_the_port_of_its_scheme() {
    for (address, scheme, instance, url) in [
        ("h1", Scheme::Http, "h1:80", "http://h1/debug/pprof/heap"),
        ("h1", Scheme::Https, "h1:443", "https://h1/debug/pprof/heap"),
        (
            "h1:6060",
            Scheme::Https,
            "h1:6060",
            "https://h1:6060/debug/pprof/heap",
        ),
        (
            "10.0.0.7",
            Scheme::Http,
            "10.0.0.7:80",
            "http://10.0.0.7/debug/pprof/heap",
        ),
        (
            "[fd00::7]:6060",
            Scheme::Http,
            "[fd00::7]:6060",
            "http://[fd00::7]:6060/debug/pprof/heap",
        ),
        (
            "[fd00::7]",
            Scheme::Http,
            "[fd00::7]:80",
            "http://[fd00::7]/debug/pprof/heap",
        ),
        (
            "fd00::7",
            Scheme::Http,
            "[fd00::7]:80",
            "http://[fd00::7]/debug/pprof/heap",
        ),
    ] {
        let mut job = job(&["mem"]);
        job.scheme = scheme;
        let target = only(&job, address, &[]);
        assert_eq!(target.labels["instance"], instance);
        assert_eq!(target.labels["__address__"], instance);
        assert_eq!(target.url.to_string(), url);
    }
}

#[test]
fn an_address_that_is_none_is_dropped_with_a_reason() {
    let job = job(&["mem"]);
    for (address, labels, part) in [
        ("", &[][..], "the address is empty"),
        ("http://h/x", &[], "has a scheme"),
        ("h/x", &[], "has a path"),
        ("h?x", &[], "has a path"),
        ("h:1#x", &[], "has a path"),
        ("h:0", &[], "has a port that is not a number"),
        ("h:http", &[], "has a port that is not a number"),
        ("h 1", &[], "white space"),
        ("fe80::1%eth0", &[], "without brackets"),
        ("a,b", &[], "has a host that is not a name"),
        ("h", &[("__scheme__", "ftp")], "__scheme__ is \"ftp\""),
        ("h", &[("env", "a,b")], "label \"env\": ',' cannot be sent"),
        (
            "h",
            &[("__scrape_interval__", "often")],
            "__scrape_interval__ is \"often\"",
        ),
        (
            "h",
            &[("__scrape_interval__", "1ms")],
            "__scrape_interval__ is shorter than 1s",
        ),
        (
            "h",
            &[("__scrape_interval__", "25h")],
            "__scrape_interval__ is longer than a day",
        ),
        (
            "h",
            &[("__scrape_timeout__", "0s")],
            "__scrape_timeout__ is 0",
        ),
    ] {
        let reason = reason(&job, address, labels);
        assert!(reason.contains(part), "{address}: {reason}");
    }
    let secret = reason(&job, "me:secret@h:1", &[]);
    assert!(
        secret.contains("has a user") && !secret.contains("secret"),
        "{secret}"
    );
}

#[test]
fn labels_of_a_profile_enable_it_and_set_path_and_parameters() {
    let job = job(&["cpu"]);
    let labels = [
        ("__profile_cpu_enabled", "false"),
        ("__profile_goroutines_enabled", "true"),
        ("__profile_goroutines_path", "my path/ü?"),
        ("__profile_goroutines_param_debug", "a b&c"),
        ("__profile_goroutines_param_x_y", "1"),
        ("__profile_goroutines_param_", "no key"),
        ("__profile_cpu_param_seconds", "of another profile"),
        ("__profile_unknown_enabled", "true"),
    ];
    let target = only(&job, "h", &labels);
    assert_eq!(target.profile, "goroutines");
    assert_eq!(
        target.url.to_string(),
        "http://h/my%20path/%C3%BC%3F?debug=a%20b%26c&x_y=1"
    );
}

#[test]
fn a_parameter_of_a_label_replaces_the_first_value() {
    let mut job = job(&["cpu"]);
    let cpu = job.profiles.get_mut("cpu").unwrap();
    let values = |values: &[&str]| values.iter().map(|&it| it.to_owned()).collect();
    cpu.profile
        .params
        .insert("seconds".to_owned(), values(&["10", "11"]));
    let target = only(&job, "h", &[("__profile_cpu_param_seconds", "5")]);
    assert_eq!(target.url.query(), Some("seconds=5&seconds=11"));
    assert_eq!(target.seconds, Some(Duration::from_secs(5)));
}

#[test]
fn the_time_limit_is_longer_than_the_application_collects() {
    let seconds = Duration::from_secs;
    let mut job = job(&["cpu"]);
    for (timeout, labels, expected) in [
        (None, &[][..], Ok(15)),
        (None, &[("__profile_cpu_param_seconds", "30")], Ok(35)),
        (Some(11), &[], Ok(11)),
        (
            Some(10),
            &[],
            Err("seconds is 10, and the time limit is 10s"),
        ),
        (None, &[("__scrape_timeout__", "12s")], Ok(12)),
        (Some(11), &[("__scrape_timeout__", "12s")], Ok(12)),
        (
            None,
            &[("__scrape_timeout__", "9s")],
            Err("the time limit is 9s"),
        ),
        (
            None,
            &[("__profile_cpu_param_seconds", "0")],
            Err("write whole seconds"),
        ),
        (
            None,
            &[("__profile_cpu_param_seconds", "1.5")],
            Err("write whole seconds"),
        ),
        (
            None,
            &[("__profile_cpu_param_seconds", "86400")],
            Err("from 1 to 3600"),
        ),
    ] {
        job.timeout = timeout.map(seconds);
        match expected {
            Ok(limit) => assert_eq!(only(&job, "h", labels).timeout, seconds(limit)),
            Err(part) => {
                let reason = reason(&job, "h", labels);
                assert!(
                    reason.starts_with("profile cpu: ") && reason.contains(part),
                    "{reason}"
                );
            }
        }
    }
}

#[test]
fn seconds_are_refused_where_they_would_make_values_in_use_differences() {
    let job = job(&["mem", "mutex"]);
    let memory = reason(&job, "h", &[("__profile_mem_param_seconds", "5")]);
    assert!(memory.contains("makes all values differences"), "{memory}");
    let mutex = targets(&job, "h", &[("__profile_mutex_param_seconds", "5")]).unwrap();
    assert_eq!(mutex[1].seconds, Some(Duration::from_secs(5)));
}
