//! The admin listener over TLS, with a required certificate: curl, a probe as a kubelet sends it, and Prometheus.

use std::fs;

use serde_json::Value;

use super::{
    clients::curl,
    files::{CA, Files, Shown},
    incoming::asking,
    process::{Process, run},
};
use crate::{
    support::{Relay, Request, SOON, Upstream, client, poll, ports::Refusing},
    tools::command,
};

fn relay(files: &Files) -> Relay {
    let keys = files.keys(Shown::Valid);
    let admin_tls = format!("admin-tls: {{ {keys}{} }}", asking(files, "require"));
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml(&admin_tls)
        .target("central", &Upstream::ok(), &[])
        .spawn()
}

#[test]
fn curl_needs_a_certificate_except_for_health() {
    let files = Files::new();
    let relay = relay(&files);
    let ask = |path: &str, arguments: &[&str]| {
        let url = format!("https://{}{path}", relay.admin());
        run(curl(&files.path(CA)).args(arguments).arg(url)).0
    };
    let (cert, key) = (files.cert(Shown::Valid), files.key(Shown::Valid));
    let pair = ["--cert", &cert, "--key", &key];
    for path in ["/-/healthy", "/-/ready"] {
        // A kubelet verifies nothing and has no certificate.
        assert_eq!(ask(path, &["--insecure"]), "200 1.1 ", "{path}");
        assert_eq!(ask(path, &pair), "200 1.1 ", "{path}");
    }
    for path in ["/metrics", "/api/v1/status"] {
        assert_eq!(ask(path, &[]), "403 1.1 ", "{path}");
        assert_eq!(ask(path, &pair), "200 1.1 ", "{path}");
    }
    // A certificate that does not verify is refused in the handshake, whatever the path.
    let (cert, key) = (files.cert(Shown::Stranger), files.key(Shown::Stranger));
    let refused = ask("/-/healthy", &["--cert", &cert, "--key", &key]);
    assert!(refused.starts_with("000 "), "{refused}");
}

#[test]
fn prometheus_scrapes_with_its_certificate() {
    let files = Files::new();
    let relay = relay(&files);
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let (ca, cert, key) = (
        files.path(CA),
        files.cert(Shown::Valid),
        files.key(Shown::Valid),
    );
    let job = |name: &str, identity: &str| {
        format!(
            "- job_name: {name}\n  scheme: https\n  tls_config: {{ ca_file: {ca}{identity} }}\n  \
             static_configs: [{{ targets: [\"{}\"] }}]\n",
            relay.admin()
        )
    };
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n{}{}",
        job("known", &format!(", cert_file: {cert}, key_file: {key}")),
        job("unknown", ""),
    );
    let (file, port) = (home.path().join("prometheus.yml"), Refusing::new());
    fs::write(&file, text).expect("the directory can be written to");
    let mut prometheus = command("prometheus", &[]);
    prometheus.arg(format!("--config.file={}", file.display()));
    prometheus.arg(format!(
        "--storage.tsdb.path={}",
        home.path().join("data").display()
    ));
    prometheus.arg(format!("--web.listen-address={port}"));
    let mut prometheus = Process::start(&mut prometheus);
    prometheus.wait_for(&[port.address()]);

    let scraped = |job: &str, health: &str, error: &str| {
        let target = poll(SOON, || {
            let response = client::send(port.address(), &Request::get("/api/v1/targets"));
            // Prometheus listens before it is ready.
            if response.status() != 200 {
                return None;
            }
            let targets = response.json()["data"]["activeTargets"].take();
            let mut targets = targets.as_array().cloned().unwrap_or_default().into_iter();
            targets.find(|it: &Value| {
                let text = it["lastError"].as_str().unwrap_or_default();
                it["labels"]["job"] == job && it["health"] == health && text.contains(error)
            })
        });
        assert!(target.is_some(), "{job} is not {health}");
    };
    scraped("known", "up", "");
    scraped("unknown", "down", "403");
}
