//! `tag-keys`.

use super::{target, yaml};

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
