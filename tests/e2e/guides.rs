//! The configurations in the pages: a reader who copies one gets no fault.

use std::{fs, path::Path};

use crate::support::{command::run, nats::CREDENTIALS, pki::Authority};

/// Pages and files with configurations, from the root of the repository.
const FILES: [&str; 13] = [
    "README.md",
    "docs/coming-from-pyroscope.md",
    "docs/configuration.md",
    "docs/dead-letters.md",
    "docs/migrate-to-cloud.md",
    "docs/pull-mode.md",
    "docs/pyroscope-2.md",
    "docs/tls.md",
    "deploy/alloy/pyrotee/pyrotee.yaml",
    "deploy/docker/compose/pyrotee.yaml",
    "deploy/docker/pyrotee.yaml",
    "deploy/docker/scrape/pyrotee.yaml",
    "deploy/docker/shared/pyrotee.yaml",
];

/// The configurations of a page: the blocks that are marked as `yaml`. `yml` marks YAML that is none of pyrotee's, or
/// faulty on purpose.
fn configurations(file: &str, text: &str) -> Vec<String> {
    if Path::new(file).extension().is_none_or(|it| it != "md") {
        return vec![text.to_owned()];
    }
    let blocks = text.split("\n```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("\n```"));
    blocks.map(|(block, _)| block.to_owned()).collect()
}

/// The directories of files in the pages; the test has its own.
const DIRECTORIES: [&str; 2] = ["/run/secrets/", "/etc/pyrotee/secrets/"];

/// The files that the pages name: an authority, a certificate of it, credentials of NATS, and tokens.
fn secrets() -> Authority {
    let files = Authority::new();
    files.issue("tls", "relay.example.com");
    for token in [
        "archive-password",
        "central",
        "central-token",
        "cloud-token",
    ] {
        files.write(token, "a-token");
    }
    files.write("nats.creds", CREDENTIALS);
    files
}

#[test]
fn every_configuration_in_the_pages_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let secrets = secrets();
    for file in FILES {
        let mut text = fs::read_to_string(root.join(file)).unwrap();
        for directory in DIRECTORIES {
            text = text.replace(directory, &secrets.text(""));
        }
        let configurations = configurations(file, &text);
        assert!(!configurations.is_empty(), "{file} has no configuration");
        for configuration in configurations {
            let variables = [("TOKEN", "a-token"), ("CENTRAL_TOKEN", "a-token")];
            let arguments = ["check", "--config", "pyrotee.yaml"];
            let done = run(&configuration, &arguments, &variables);
            assert_eq!(done.code, Some(0), "{file}\n{configuration}\n{}", done.err);
        }
    }
}

#[test]
fn the_server_yml_of_the_guide_is_no_configuration_of_pyrotee() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coming-from-pyroscope.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text
        .split_once("```yml\n")
        .expect("the guide has a server.yml");
    let (server, _) = rest.split_once("```").expect("a block has an end");
    let done = run(server, &["check", "--config", "pyrotee.yaml"], &[]);
    done.expect(2, &["api-bind-addr"]);
}
