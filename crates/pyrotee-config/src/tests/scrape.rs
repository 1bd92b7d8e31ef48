//! Tests of pull mode: the block `scrape-configs`, and the section `scrape`.

use std::{path::Path, time::Duration};

use pyrotee_scrape_config::{Limits, Scheme};

use super::{Case, pem::Pem, yaml};
use crate::{ChangeKind, Loader, Sources, needs_restart};

const WHOLE: &str = r#"
scrape: { max-targets: 50, tenant-id: team-a, headers: { X-Gate: s3cret-1 } }
scrape-configs:
  - job-name: shop
    scrape-interval: 30s
    scheme: https
    body-size-limit: 4MiB
    enabled-profiles: [cpu, mem, fgprof]
    profiles:
      cpu: { params: { seconds: ["20"] } }
      fgprof:
        path: /debug/fgprof
        params: { seconds: ["5"], label: ["a$$b", "${1}"] }
        sample-types: { time: { units: samples, sampled: true } }
    static-configs:
      - { application: shop.cart, targets: ["cart:6060", "[::1]:6060"], labels: { env: prod, price: "5$" } }
      - { application: shop.pay, spy-name: gospy, targets: [pay] }
    basic-auth: { username: me, password: s3cret-2 }
  - job-name: files & urls
    enabled-profiles: [goroutines]
    use-delta-profiles: true
    file-sd-configs: [{ files: ["/etc/t/*.yaml", /etc/t.json], refresh-interval: 1m }]
    http-sd-configs:
      - { url: "http://sd/targets?x=1", bearer-token: s3cret-3 }
      - { url: "https://sd/2", authorization: { type: Token, credentials: s3cret-4 }, follow-redirects: false }
"#;

#[test]
fn a_whole_block_becomes_jobs() {
    let config = yaml(WHOLE).config();
    let scrape = &config.scrape;
    assert_eq!(scrape.limits.max_targets, 50);
    assert_eq!(scrape.headers["x-scope-orgid"], "team-a");
    assert!(scrape.headers["x-gate"].is_sensitive());
    let [shop, discovered] = scrape.jobs.as_slice() else {
        panic!("{:?}", scrape.jobs);
    };
    assert_eq!((shop.scheme, shop.max_body), (Scheme::Https, Some(4 << 20)));
    assert_eq!(shop.profiles["cpu"].profile.params["seconds"], ["20"]);
    assert_eq!(
        shop.profiles["fgprof"].profile.params["label"],
        ["a$$b", "${1}"]
    );
    assert!(shop.profiles["mem"].is_enabled && !shop.profiles["mutex"].is_enabled);
    let authorization = shop.client.authorization.as_ref().unwrap();
    assert_eq!(authorization, "Basic bWU6czNjcmV0LTI=");
    assert!(authorization.is_sensitive());
    assert_eq!(discovered.interval, Duration::from_secs(10));
    assert_eq!(
        discovered.file_discoveries[0].interval,
        Duration::from_secs(60)
    );
    assert_eq!(
        discovered.profiles["mem"].profile.path,
        "/debug/pprof/delta_heap"
    );
    assert!(!discovered.http_discoveries[1].client.follow_redirects);
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_printed_configuration_reads_back_without_secrets() {
    let config = yaml(WHOLE).config();
    let printed = config.to_yaml();
    assert!(!printed.contains("s3cret"), "{printed}");
    let again = yaml(&printed).config();
    assert_eq!(again.to_yaml(), printed);
    let changes = config.difference(&again);
    let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "scrape.headers.x-gate",
            "scrape-configs[shop].basic-auth.username",
            "scrape-configs[shop].basic-auth.password",
            "scrape-configs[files & urls].http-sd-configs[1].bearer-token",
            "scrape-configs[files & urls].http-sd-configs[2].authorization.credentials",
        ]
    );
    let start = "
scrape-configs:
- job-name: shop
  scrape-interval: 30s
  scheme: https
  body-size-limit: 4MiB
  enabled-profiles: [cpu, fgprof, mem]
  profiles:
    cpu:
      path: \"/debug/pprof/profile\"
      params:
        seconds: [\"20\"]
";
    assert!(printed.contains(start), "{printed}");
    let groups = "
  static-configs:
  - application: shop.cart
    targets: [\"cart:6060\", \"[::1]:6060\"]
    labels:
      env: prod
      price: \"5$\"
  - application: shop.pay
    spy-name: gospy
    targets: [pay]
  basic-auth:
    username: \"<redacted>\"
    password: \"<redacted>\"
";
    assert!(printed.contains(groups), "{printed}");
}

#[test]
fn without_jobs_the_limits_have_their_defaults() {
    let config = yaml("").config();
    assert_eq!(config.scrape.limits, Limits::default());
    assert_eq!(
        (config.scrape.jobs.len(), config.scrape.headers.len()),
        (0, 0)
    );
    yaml("scrape: { max-concurrent: 0 }")
        .fault_is("pyrotee.yaml:1: scrape.max-concurrent: `0` is zero; write a number above it");
}

#[test]
fn a_job_that_changes_is_a_live_change_and_an_equal_one_is_none() {
    let job = |name: &str, interval: &str| {
        format!(
            "  - {{ job-name: {name}, scrape-interval: {interval}, enabled-profiles: [cpu], \
             static-configs: [{{ application: a, targets: [a] }}] }}\n"
        )
    };
    let config = |jobs: &[String]| yaml(&format!("scrape-configs:\n{}", jobs.concat())).config();
    let old = config(&[job("a", "10s"), job("b", "10s"), job("c", "10s")]);
    let new = config(&[job("c", "10s"), job("a", "20s"), job("d", "10s")]);
    let changes = old.difference(&new);
    let mut found: Vec<_> = changes
        .iter()
        .map(|it| (it.key.as_str(), it.kind))
        .collect();
    found.sort_by_key(|(key, _)| *key);
    assert_eq!(
        found,
        [
            ("scrape-configs[a].scrape-interval", ChangeKind::Changed),
            ("scrape-configs[b]", ChangeKind::Removed),
            ("scrape-configs[d]", ChangeKind::Added),
        ]
    );
    assert!(found.iter().all(|(key, _)| !needs_restart(key)));
    assert_eq!(old.scrape.jobs[2], new.scrape.jobs[0]);
}

#[test]
fn faults_of_jobs_stand_among_the_others_with_file_and_line() {
    let text = "listen: 4040\nscrape-configs:\n  - job-name: a\n    scheme: ftp\n    basic-auth: { password: \"${NONE}\" }\n";
    assert_eq!(
        yaml(text).faults(),
        "pyrotee.yaml:1: listen: `4040` has no `:`; write :PORT for all interfaces, or IP:PORT\n\
         pyrotee.yaml:4: scrape-configs[a].scheme: `ftp` is not known; write one of http, https\n\
         pyrotee.yaml:5: scrape-configs[a].basic-auth.password: the variable `NONE` is not set; set it, or write \
         ${NONE:-default}\n\
         3 faults in the configuration"
    );
    yaml("scrape-config: []")
        .fault_is("pyrotee.yaml:1: scrape-config: unknown key; did you mean `scrape-configs`?");
}

#[test]
fn a_variable_cannot_set_a_job() {
    for name in [
        "PYROTEE__SCRAPE_CONFIGS",
        "PYROTEE__SCRAPE_CONFIGS__0__JOB_NAME",
    ] {
        yaml("").env(name, "x").fault_is(&format!(
            "environment {name}: scrape-configs: is a list, which only the file can have; write it there, with \
             ${{VAR}} in its values"
        ));
    }
    let config = yaml("").env("PYROTEE__SCRAPE__MAX_TARGETS", "7").config();
    assert_eq!(config.scrape.limits.max_targets, 7);
}

#[test]
fn a_rotated_file_changes_the_secret_of_its_job() {
    let files = Pem::new();
    files.write("token", "one\n");
    let dir = files.dir();
    let text = format!(
        "scrape-configs:\n  - job-name: a\n    enabled-profiles: [cpu]\n    bearer-token-file: {dir}/token\n    \
         static-configs: [{{ application: a, targets: [a] }}]\n    tls-config: {{ ca-file: {dir}/ca.crt }}\n"
    );
    files.write("pyrotee.yaml", &text);
    let loader = Loader::new(Sources {
        file: Some(format!("{dir}/pyrotee.yaml").into()),
        ..Sources::default()
    });
    let text = loader.read().unwrap();
    let old = loader.load(&text, &Default::default()).unwrap();
    assert_eq!(old.files.paths().count(), 2);
    files.write("token", "two\n");
    let found = old.files.reread();
    assert!(found.changed);
    let rotated = loader.rotate(&text, &old.files, &found.contents);
    let new = rotated.loaded.unwrap().config;
    let token = |config: &crate::Config| config.scrape.jobs[0].client.authorization.clone();
    assert_eq!(token(&old.config).unwrap(), "Bearer one");
    assert_eq!(token(&new).unwrap(), "Bearer two");
    let changes = old.config.difference(&new);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].key, "scrape-configs[a].bearer-token");
}

#[test]
fn a_server_yml_with_jobs_names_only_keys_of_pyroscope() {
    let case: Case = yaml("storage-path: /x\nretention: 1h\nscrape-configs: []\n");
    let faults = case.faults();
    assert!(faults.contains("(storage-path, retention)"), "{faults}");
    yaml("scrape-configs: []\nremote-write: { enabled: false }\n").config();
}

#[test]
fn files_and_servers_of_the_jobs_are_known() {
    let pem = Pem::new();
    let path = |name: &str| Path::new(&pem.dir()).join(name);
    let (ca, cert, key) = (path("ca.crt"), path("tls.crt"), path("tls.key"));
    let text = format!(
        "scrape-configs:\n- job-name: shop\n  enabled-profiles: [cpu]\n  static-configs: [{{ application: a, targets: [h] }}]\n  \
         tls-config: {{ ca-file: {}, cert-file: {}, key-file: {} }}\n  http-sd-configs:\n  \
         - {{ url: \"https://sd\", tls-config: {{ insecure-skip-verify: true }} }}\n  \
         - {{ url: \"https://sd2\", tls-config: {{ insecure-skip-verify: true }} }}\n",
        ca.display(),
        cert.display(),
        key.display()
    );
    let config = yaml(&text).config();
    let files = config.certificate_files();
    let files: Vec<_> = files.iter().map(|it| (it.role, it.path)).collect();
    assert_eq!(files, [("scrape", &*cert), ("scrape_ca", &*ca)]);
    let servers: Vec<_> = config.unverified_servers().collect();
    assert_eq!(servers.len(), 1, "one for each job");
    assert_eq!(servers[0].section(), "scrape-configs[shop].tls-config");
}
