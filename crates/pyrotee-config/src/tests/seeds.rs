//! The example configurations of Pyroscope's documentation of remote write, which must work
//! unchanged.

use super::{Case, yaml};
use crate::{Credentials, LocalWrites};

const BASIC: &str = "
remote-write:
  enabled: true
  targets:
    bar:
      address: http://bar:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: bar
    baz:
      address: http://baz:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: baz
";

const CLOUD: &str = "
remote-write:
  enabled: true
  disable-local-writes: true
  targets:
    pyroscope-cloud:
      address: ADDRESS
      auth-token: MY_AUTH_TOKEN
      tags:
        # optional tag to distinguish between different clusters you have
        cluster-name: my-cluster
";

const TWEAKED: &str = "
remote-write:
  enabled: true
  targets:
    bar:
      address: http://bar:4040
      auth-token: MY_AUTH_TOKEN
      tags:
        foo: bar

      # tweakable
      timeout: 1m
      queue-size: 100
      queue-workers: 4
";

const NAMED: &str = "
remote-write:
  enabled: true
  targets:
    my-cluster:
      address: http://bar:4040
";

fn cloud(address: &str) -> Case {
    yaml(&CLOUD.replace("ADDRESS", address))
}

#[test]
fn two_targets_are_read_in_the_order_of_the_file() {
    let config = yaml(BASIC).config();
    let targets = &config.remote_write.targets;
    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["bar", "baz"]);
    assert_eq!(targets[1].address.to_string(), "http://baz:4040");
    assert_eq!(targets[1].tags.iter().collect::<Vec<_>>(), [("foo", "baz")]);
    assert!(matches!(
        targets[1].credentials,
        Some(Credentials::Bearer(_))
    ));
    assert_eq!(config.remote_write.local_writes, LocalWrites::Forward);
    assert!(config.upstream.is_some());
}

#[test]
fn the_relay_to_a_cloud_renames_its_tag_and_warns_once() {
    let config = cloud("https://cloud.example.com").config();
    assert_eq!(config.remote_write.local_writes, LocalWrites::Discard);
    assert!(config.upstream.is_none());
    let tags = &config.remote_write.targets[0].tags;
    assert_eq!(
        tags.iter().collect::<Vec<_>>(),
        [("cluster_name", "my-cluster")]
    );
    assert_eq!(
        config.warnings(),
        [
            "remote-write.targets.pyroscope-cloud.tags: `cluster-name` is sent as `cluster_name`; \
          Pyroscope takes no `-` in the key of a tag"
        ]
    );
}

#[test]
fn the_address_that_the_documentation_lost_is_one_fault() {
    cloud("").fault_is(
        "pyrotee.yaml:7: remote-write.targets.pyroscope-cloud.address: is empty; \
         write http://HOST:PORT",
    );
}

#[test]
fn the_knobs_of_a_queue_are_taken() {
    let target = yaml(TWEAKED).config().remote_write.targets.remove(0);
    assert_eq!(
        (
            target.timeout.as_secs(),
            target.queue_size,
            target.queue_workers
        ),
        (60, 100, 4)
    );
}

#[test]
fn a_target_needs_an_address_only() {
    let target = yaml(NAMED).config().remote_write.targets.remove(0);
    assert_eq!(target.name, "my-cluster");
    assert_eq!(
        (
            target.timeout.as_secs(),
            target.queue_size,
            target.queue_workers
        ),
        (10, 100, 64)
    );
    assert!(target.credentials.is_none() && target.tags.is_empty());
}
