use crate::support::{Builder, Relay, command::run, ports::Refusing};

/// A configuration with this block `shared`.
fn with(block: &str) -> Builder {
    Relay::builder()
        .yaml(block)
        .remote_write("disable-local-writes: true")
        .target_address("central", &Refusing::new().url(), &[])
}

/// The relay refuses the configuration, and says each of these texts.
fn refused(builder: Builder, texts: &[&str]) {
    let ended = builder.refused();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    for text in texts {
        assert!(ended.output.contains(text), "{text}: {}", ended.output);
    }
}

#[test]
fn a_spool_and_a_shared_backlog_exclude_each_other() {
    let block =
        "shared: { servers: [\"nats://127.0.0.1:4222\"] }\nspool: { dir: \"{home}/spool\" }";
    refused(with(block), &["spool", "shared"]);
}

#[test]
fn a_mode_that_is_not_built_yet_is_told_from_one_that_does_not_exist() {
    let mode =
        |mode: &str| format!("shared: {{ servers: [\"nats://127.0.0.1:4222\"], mode: {mode} }}");
    refused(
        with(&mode("always")),
        &["shared.mode", "always", "not available"],
    );
    refused(
        with(&mode("sometimes")),
        &["shared.mode", "sometimes", "overflow"],
    );
}

#[test]
fn all_faults_of_the_block_are_told_at_once() {
    let block = "shared: { servers: [\"http://127.0.0.1:4222\", \"nats://:4222\"], prefix: \"a.b\", after: 10ms, \
                 policy: perhaps, replicas: 9, max-bytes: 0, auth: { token: t, user: u }, no-such-key: 1 }";
    let paths = [
        "shared.servers",
        "shared.prefix",
        "shared.after",
        "shared.policy",
        "shared.replicas",
        "shared.max-bytes",
        "shared.auth",
        "no-such-key",
    ];
    refused(with(block), &paths);
    let file = format!(
        "{block}\nremote-write:\n  enabled: true\n  disable-local-writes: true\n  targets:\n    \
         c: {{ address: \"http://127.0.0.1:1\" }}\n"
    );
    run(&file, &["check", "pyrotee.yaml"], &[]).expect(2, &paths);
}

#[test]
fn a_block_without_servers_is_a_fault() {
    refused(
        with("shared: { servers: [], after: 5s }"),
        &["shared.servers"],
    );
    refused(with("shared: { prefix: p }"), &["shared.servers"]);
}

#[test]
fn a_server_on_another_machine_without_tls_is_a_warning() {
    let file = |server: &str| {
        format!(
            "shared: {{ servers: [\"{server}\"] }}\nremote-write:\n  enabled: true\n  disable-local-writes: true\n  \
             targets:\n    c: {{ address: \"http://127.0.0.1:1\" }}\n"
        )
    };
    let warned = run(
        &file("nats://nats.example:4222"),
        &["check", "pyrotee.yaml"],
        &[],
    )
    .expect(0, &["TLS"]);
    assert!(warned.all().contains("shared.servers"), "{}", warned.all());
    let local = run(
        &file("nats://127.0.0.1:4222"),
        &["check", "pyrotee.yaml"],
        &[],
    )
    .expect(0, &[]);
    assert!(!local.all().contains("TLS"), "{}", local.all());
}

#[test]
fn changes_of_the_block_need_a_restart() {
    let builder = |after: &str| {
        with(&format!(
            "shared: {{ servers: [\"nats://127.0.0.1:1\"], after: {after} }}"
        ))
        .yaml("reload: { interval: 0 }")
    };
    let relay = builder("10s").spawn();
    relay.rewrite(&builder("20s"));
    let report = relay.reload();
    assert!(
        report
            .texts("restart_required")
            .iter()
            .any(|key| key.starts_with("shared")),
        "{report:?}"
    );
}
