//! `paths`, `tag-keys`, and addresses that name a surface.

use pyroscope_wire::Surface;

use super::{target, yaml};

#[test]
fn paths_replace_those_of_their_surfaces() {
    let config = target("      paths: { push: /gw/push, otlp: /otlp/ }\n").config();
    let paths = &config.remote_write.targets[0].paths;
    assert_eq!(paths.of(Surface::Ingest), "/ingest");
    assert_eq!(paths.of(Surface::Push), "/gw/push");
    assert_eq!(paths.of(Surface::Otlp), "/otlp/");
    let shown = config.to_yaml();
    assert!(
        shown.contains("      paths:\n        push: \"/gw/push\"\n        otlp: \"/otlp/\"\n"),
        "{shown}"
    );
    let again = yaml(&shown).config();
    assert_eq!(&again.remote_write.targets[0].paths, paths);
    assert!(!target("").config().to_yaml().contains("paths"));
}

#[test]
fn faulty_paths_are_told_at_once() {
    let lines = "      paths:\n        ingest: ingest\n        push: /p?x=1\n        pusher: /p\n        \
                 otlp: \"/a b\"\n";
    let at = "remote-write.targets.bar.paths";
    assert_eq!(
        target(lines).faults(),
        format!(
            "pyrotee.yaml:7: {at}.ingest: does not begin with `/`; write the whole path, such as /ingest\n\
             pyrotee.yaml:8: {at}.push: has a query or a fragment; write the path alone\n\
             pyrotee.yaml:9: {at}.pusher: unknown key; known here: ingest, push, otlp\n\
             pyrotee.yaml:10: {at}.otlp: has a character that a path cannot have; percent-encode it\n\
             4 faults in the configuration"
        )
    );
    target("      paths: /ingest\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.paths: takes keys of its own; indent them below \
         it as `key: value`",
    );
}

#[test]
fn paths_come_from_the_environment_too() {
    let config = target("")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__PATHS__INGEST", "/x")
        .config();
    assert_eq!(
        config.remote_write.targets[0].paths.of(Surface::Ingest),
        "/x"
    );
}

#[test]
fn keys_with_dots_need_a_target_that_takes_them() {
    let tags = "      tags: { k8s.pod.name: a, cluster-name: b }\n";
    target(tags).fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.tags.k8s.pod.name: a Pyroscope before 1.0 refuses \
         a dot in a key; use '_', or set `tag-keys` to `utf8` if the target accepts dots",
    );
    let config = target(&format!("{tags}      tag-keys: utf8\n")).config();
    let sent: Vec<_> = config.remote_write.targets[0].tags.iter().collect();
    assert_eq!(sent, [("cluster_name", "b"), ("k8s.pod.name", "a")]);
    let again = yaml(&config.to_yaml()).config();
    assert_eq!(
        again.remote_write.targets[0]
            .tags
            .iter()
            .collect::<Vec<_>>(),
        sent
    );
}

#[test]
fn a_key_that_a_surface_cannot_carry_is_a_fault_whatever_the_target_takes() {
    target("      tag-keys: utf8\n      tags: { größe: a }\n").fault_is(
        "pyrotee.yaml:7: remote-write.targets.bar.tags.gr…: Pyroscope does not allow 'ö' in a key; \
         use letters, digits and '_'",
    );
    target("      tag-keys: utf-8\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.tag-keys: `utf-8` is not known; write one of legacy, utf8",
    );
}

#[test]
fn the_path_of_a_surface_in_an_address_is_warned_of() {
    let warnings = |address: &str| {
        let text = format!(
            "remote-write: {{ enabled: true, targets: {{ bar: {{ address: \"{address}\" }} }} }}"
        );
        yaml(&text).config().warnings()
    };
    for (path, surface) in [
        ("/ingest", "ingest"),
        ("/base/ingest/", "ingest"),
        ("/push.v1.PusherService/Push", "push"),
        ("/v1development/profiles", "otlp"),
        ("/otlp/v1/profiles", "otlp"),
    ] {
        let shown = path.trim_end_matches('/');
        assert_eq!(
            warnings(&format!("https://x{path}")),
            [format!(
                "remote-write.targets.bar.address: `{shown}` ends with the path of a surface, which \
                 pyrotee appends itself; leave it out; if the gateway serves it elsewhere use `paths: \
                 {{ {surface}: … }}`"
            )]
        );
    }
    for path in ["", "/pyroscope", "/ingestion", "/v1development"] {
        assert_eq!(warnings(&format!("https://x{path}")), [""; 0], "{path}");
    }
}
