//! SDKs that send through a listener with TLS, and trust its authority in the way of their language. The program in
//! Rust is built without TLS.

use std::{collections::BTreeMap, path::Path, process::Command};

use super::{
    files::{CA, Files, Shown},
    process::run,
};
use crate::{
    compare::PATIENCE,
    go, java, node, push, python,
    support::{Relay, Upstream, key::Key, upstream::Request},
    tools::{Tools, command},
};

/// Runs an SDK's program against a relay that speaks TLS with it. All profiles of `app` that arrive at the upstream
/// must arrive at the target, with the tag of the target.
fn through_tls(mut tools: Tools, app: &str, profiled: impl Fn(&Tools, &str, &Files) -> Command) {
    let (files, upstream, target) = (Files::new(), Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .yaml(&format!("listen-tls: {{ {} }}", files.keys(Shown::Valid)))
        .upstream(&upstream)
        .target("central", &target, &["tags: { cluster: c1 }"])
        .spawn();
    let server = format!("https://localhost:{}", relay.addr().port());
    tools.run(&mut profiled(&tools, &server, &files), PATIENCE);

    let ledger = relay.wait_ledger("central", "all sent", |ledger| {
        let whole = upstream.requests().len() as u64;
        // The Java agent speaks HTTP/2 here, and resets the stream of an upload during which it is stopped. That takes
        // the upload back from the upstream, and the target gets the profile if its body had arrived.
        let arrived = upstream.arrivals().len() as u64;
        whole > 0
            && (whole..=arrived).contains(&ledger.sent.profiles)
            && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let mut tags = vec![("region", "eu"), ("zone", "a")];
    assert_tags(&upstream, app, &tags);
    tags.push(("cluster", "c1"));
    assert_tags(&target, app, &tags);
    tools.took("sending over TLS");
}

/// Asserts that all profiles at a stand-in are of `app` and have these tags.
fn assert_tags(stand_in: &Upstream, app: &str, tags: &[(&str, &str)]) {
    for request in stand_in.requests() {
        for labels in labels(&request) {
            for (name, value) in tags.iter().chain(&[("service_name", app)]) {
                let found = labels.get(*name).map(String::as_str);
                assert_eq!(found, Some(*value), "{name}: {labels:?}");
            }
        }
    }
}

/// The labels of each profile in a request. Those of `/ingest` get the name of the app as `service_name`.
fn labels(request: &Request) -> Vec<BTreeMap<String, String>> {
    if request.head.path() == push::PATH {
        let series = push::read(&request.head, &request.body.data);
        let labels = series.into_iter().map(|it| it.labels.into_iter().collect());
        return labels.collect();
    }
    let Key { app, mut tags } = Key::of(&request.head.query());
    tags.insert("service_name".to_owned(), app);
    vec![tags]
}

#[test]
fn the_go_sdk_sends_through_a_listener_with_tls() {
    through_tls(go::installed(), "interop.go", |tools, server, files| {
        let mut busy = go::profiled(tools, server, 3);
        busy.env("SSL_CERT_FILE", files.path(CA));
        busy
    });
}

#[test]
fn the_java_agent_sends_through_a_listener_with_tls() {
    through_tls(java::installed(), "interop.java", |tools, server, files| {
        let store = files.path("trust.p12");
        import(files.path(CA).as_ref(), &store);
        let mut busy = java::profiled(tools, server, 8);
        let options = format!(
            "-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
        );
        busy.env("JAVA_TOOL_OPTIONS", options);
        busy
    });
}

#[test]
fn the_node_sdk_sends_through_a_listener_with_tls() {
    through_tls(node::installed(), "interop.node", |tools, server, files| {
        let mut busy = node::profiled(tools, server, 3);
        busy.env("NODE_EXTRA_CA_CERTS", files.path(CA));
        busy
    });
}

#[test]
fn the_python_sdk_pushes_through_a_listener_with_tls() {
    through_tls(
        python::newest(),
        "interop.python",
        |tools, server, files| {
            let mut busy = python::profiled(tools, server, 3);
            busy.env("SSL_CERT_FILE", files.path(CA));
            busy
        },
    );
}

/// Makes a truststore with the certificates of a PEM file.
fn import(pem: &Path, store: &str) {
    let mut keytool = command("keytool", &["-importcert", "-noprompt", "-alias", "ca"]);
    keytool.args(["-storetype", "PKCS12", "-storepass", "changeit"]);
    keytool.arg("-file").arg(pem).args(["-keystore", store]);
    let (output, success) = run(&mut keytool);
    assert!(success, "{output}");
}
