use super::{faults, read, warnings};

#[test]
fn all_faults_of_all_jobs_are_there_at_once_with_line_and_path() {
    let block = "\
- job-name: a
  scrape_interval: 10s
  scrape-timeout: 5
  enabled-profiles: [cpu, memm]
  static-configs:
    - { application: a, targets: [\"http://h:1/x\"] }
    - { targets: [h] }
- scheme: ftp
- job-name: a
- text
";
    let (_, faults, _) = read(block);
    assert_eq!(
        faults,
        [
            "2: scrape-configs[a].scrape_interval: unknown key; did you mean `scrape-interval`?",
            "3: scrape-configs[a].scrape-timeout: `5` has no unit; write one, as in 5s, 500ms or 1h30m",
            "4: scrape-configs[a].enabled-profiles: `memm` is no profile; did you mean `mem`?",
            "6: scrape-configs[a].static-configs[1].targets: the value has a scheme; write HOST:PORT, and `scheme` beside \
             `job-name`",
            "7: scrape-configs[a].static-configs[2].application: is missing; write the name of the application, under \
             which its profiles are stored",
            "8: scrape-configs[2].job-name: is missing; give the job a name, which becomes the label `job`",
            "8: scrape-configs[2].scheme: `ftp` is not known; write one of http, https",
            "9: scrape-configs[a].job-name: is the name of the job on line 1 as well; rename one of the two",
            "10: scrape-configs[4]: takes keys of its own; indent them below it as `key: value`",
        ]
    );
    assert_eq!(
        read("a: 1").1,
        [
            "1: scrape-configs: takes a list of jobs; write `- job-name: NAME`, and the keys of the job below it"
        ]
    );
    assert_eq!(read("~").0, Some(Vec::new()));
}

#[test]
fn keys_that_are_not_built_name_the_way_out() {
    let way_out = [
        (
            "kubernetes-sd-configs",
            "planned for a later one; use file-sd-configs",
        ),
        (
            "consul-sd-configs",
            "use file-sd-configs or http-sd-configs",
        ),
        ("ec2-sd-configs", "use file-sd-configs or http-sd-configs"),
        ("relabel-configs", "write the labels into the groups"),
        ("oauth2", "use basic-auth or a bearer-token-file"),
        ("proxy-url", "reach the addresses directly"),
    ];
    for (key, text) in way_out {
        let found = faults(&format!("{key}: []"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("4: scrape-configs[j].{key}: is not ")),
            "{found:?}"
        );
        assert!(found[0].contains(text), "{found:?}");
    }
    let found = faults("profiles: { cpu: { all-sample-types: true } }");
    assert!(
        found[0].contains("profiles.cpu.all-sample-types: has no effect"),
        "{found:?}"
    );
    let found = faults("http-sd-configs: [{ url: 'http://h', oauth2: {} }]");
    assert!(
        found[0].contains("http-sd-configs[1].oauth2: is not supported"),
        "{found:?}"
    );
}

#[test]
fn values_that_0_37_could_not_use_are_faults() {
    for (lines, fault) in [
        (
            "scrape-interval: 500ms",
            "scrape-interval: `500ms` is shorter than 1s",
        ),
        ("body-size-limit: -1", "body-size-limit: `-1` is negative"),
        ("body-size-limit: x", "body-size-limit: `x` is not a size"),
        (
            "use-delta-profiles: yes",
            "use-delta-profiles: `yes` is neither true nor false",
        ),
        (
            "enabled-profiles: cpu",
            "enabled-profiles: takes a list; write `[a, b]`",
        ),
        (
            "enabled-profiles: [other]",
            "is no profile; define it under `profiles`, or write one of block, cpu, ",
        ),
        ("follow-redirects: 1", "follow-redirects: `1` is neither"),
        ("basic-auth: x", "basic-auth: takes keys of its own"),
        ("scheme: [http]", "scheme: takes one value"),
        ("scheme: ${NONE}", "scheme: the variable `NONE` is not set"),
    ] {
        let found = faults(lines);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
}

#[test]
fn static_groups_are_addresses_and_labels_that_every_pyroscope_takes() {
    let group = |rest: &str| faults(&format!("static-configs: [{{ application: a, {rest} }}]"));
    for (rest, fault) in [
        (
            "targets: ['h/x']",
            "`h/x` has a path; write HOST:PORT, and the path under `profiles`",
        ),
        ("targets: ['u@h:1']", "the value has a user"),
        ("targets: ['h:']", "`h:` is no address"),
        ("targets: ['h:99999']", "is no address"),
        ("targets: ['::1']", "is no address"),
        ("targets: ['']", "an empty value is no address"),
        ("targets: h", "targets: takes a list"),
        (
            "labels: { a-b: c }",
            "labels.a-b: a label's name has letters, digits and `_`",
        ),
        ("labels: { a.b: c }", "labels.a.b: a label's name has"),
        (
            "labels: { pyroscope_spy: c }",
            "labels.pyroscope_spy: the name is reserved",
        ),
        (
            "labels: { a: 'b,c' }",
            "labels.a: ',' cannot be sent in a value, Pyroscope has no way to escape it; leave it out",
        ),
        (
            "label: { a: b }",
            "static-configs[1].label: unknown key; did you mean `labels`?",
        ),
        (
            "source: x",
            "static-configs[1].source: unknown key; known here: application, ",
        ),
    ] {
        let found = group(rest);
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
    let fine = "targets: ['h', 'h:1', '10.0.0.1:6060', '[::1]:1', '[::1]'], labels: { __profile_cpu_path: '/a,b', env: '' }";
    assert_eq!(group(fine), Vec::<String>::new());
    let found = faults("static-configs: [{ application: a b }]");
    assert!(
        found[0].contains("application: `a b` is no name"),
        "{found:?}"
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let starts = |lines: &str, expected: &[&str]| {
        let found = warnings(lines);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    };
    starts(
        "enabled-profiles: []",
        &["scrape-configs[j].enabled-profiles: no profile is enabled"],
    );
    starts(
        "static-configs: []",
        &["scrape-configs[j]: has no scrape targets; add static-configs"],
    );
    starts(
        "static-configs: [{ application: a }]",
        &["scrape-configs[j]: has no scrape targets"],
    );
    let service = |rest: &str, address: &str| {
        format!("{rest}\nstatic-configs: [{{ application: a, targets: ['{address}'] }}]")
    };
    let expected =
        ["scrape-configs[j].static-configs: `cart.shop.svc:6060` is the name of a Service"];
    starts(
        &service("enabled-profiles: [mutex]", "cart.shop.svc:6060"),
        &expected,
    );
    starts(
        &service("enabled-profiles: [cpu]", "cart.shop.svc:6060"),
        &[],
    );
    starts(
        &service(
            "enabled-profiles: [mem]\nuse-delta-profiles: true",
            "cart.shop.svc:6060",
        ),
        &[],
    );
    starts(
        &service(
            "enabled-profiles: [mem]",
            "cart-0.cart.shop.svc.cluster.local",
        ),
        &[],
    );
    starts(
        "bearer-token: ${A}",
        &["scrape-configs[j].bearer-token: comes from the variable `A`"],
    );
    starts(
        "bearer-token: $A",
        &["scrape-configs[j].bearer-token: a value of the form `$NAME`"],
    );
}
