//! Tests that `docs/configuration.md` matches the schema.

use std::collections::BTreeMap;

use super::{pem::Pem, target, yaml};
use crate::{
    needs_restart,
    schema::{self, Shape},
};

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// Keys and defaults of the table; `–` means no default.
fn documented() -> BTreeMap<String, Option<String>> {
    let code = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = rows_of("## Keys\n");
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        let default = Some(code(cells[2])).filter(|default| default != "–");
        (code(cells[0].trim_start_matches('|')), default)
    })
    .collect()
}

/// The rows of the table below a heading.
fn rows_of(heading: &str) -> impl Iterator<Item = &'static str> {
    let (_, section) = PAGE.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.lines().filter(|line| line.starts_with("| `"))
}

fn keys(
    shape: &Shape,
    path: &str,
    default: Option<&str>,
    found: &mut BTreeMap<String, Option<String>>,
) {
    match shape {
        Shape::Text => {
            let default = match path {
                "upstream.address" => Some(schema::UPSTREAM_ADDRESS),
                "remote-write.targets.NAME.queue-workers" => Some("max(4 × CPUs, 64)"),
                _ => default,
            };
            found.insert(path.to_owned(), default.map(str::to_owned));
        }
        Shape::Texts | Shape::Jobs => {
            found.insert(path.to_owned(), None);
        }
        Shape::Map(of) => keys(of, &format!("{path}.NAME"), None, found),
        Shape::Section(of) => {
            for key in *of {
                let path = format!("{path}.{}", key.name);
                keys(&key.shape, path.trim_start_matches('.'), key.default, found);
            }
        }
    }
}

/// The keys in a row of the table of reload, such as `tee.*`.
fn row(change: &str) -> Vec<&'static str> {
    let start = format!("| {change} | ");
    let row = PAGE.lines().find_map(|line| line.strip_prefix(&start));
    row.unwrap().split('`').skip(1).step_by(2).collect()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let starts = PAGE
        .match_indices(&fence)
        .map(|(at, fence)| &PAGE[at + fence.len()..]);
    starts
        .map(|rest| &rest[..rest.find("```").unwrap()])
        .collect()
}

#[test]
fn the_table_lists_every_key_with_its_default() {
    let mut known = BTreeMap::new();
    keys(&schema::ROOT, "", None, &mut known);
    assert_eq!(documented(), known);
}

#[test]
fn the_table_of_jobs_lists_every_key() {
    let rows = rows_of("## Keys of a job\n");
    let documented: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let mut known = pyrotee_scrape_config::job_keys();
    known.sort();
    let mut listed = documented.clone();
    listed.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn the_table_of_reload_has_every_key_on_its_side() {
    let (live, restart) = (row("live"), row("restart"));
    let is_in = |row: &[&str], key: &str| {
        row.iter().any(|of| match of.strip_suffix('*') {
            Some(section) => key.starts_with(section),
            None => key == *of,
        })
    };
    let mut known = BTreeMap::new();
    keys(&schema::ROOT, "", None, &mut known);
    for key in known.keys() {
        let sides = (is_in(&live, key), is_in(&restart, key));
        assert_eq!(sides, (!needs_restart(key), needs_restart(key)), "{key}");
    }
}

#[test]
fn documented_defaults_are_in_force() {
    let files = Pem::new();
    let listener = files.expanded("{ cert-file: DIR/tls.crt, key-file: DIR/tls.key }");
    let outgoing = files.expanded("{ ca-file: DIR/ca.crt }");
    let lines = format!("      tls: {outgoing}\n");
    let mut all = target(&lines).env("PYROTEE__SPOOL__DIR", "/var/lib/pyrotee/spool");
    all.yaml = all.yaml.replace("http://", "https://");
    all.yaml.push_str(&format!(
        "listen-tls: {listener}\nadmin-tls: {listener}\nupstream: {{ address: https://u, tls: {outgoing} }}\n"
    ));
    let mut text = all.config().to_yaml();
    // Beside the spool `shared` is a fault.
    let shared = yaml(&format!("shared: {{ servers: n, tls: {outgoing} }}\n"));
    text.push_str(&shared.config().to_yaml());
    text.push('\n');
    for (key, default) in documented() {
        let name = key.rsplit('.').next().unwrap();
        let default = match default.as_deref() {
            None | Some("max(4 × CPUs, 64)") => continue,
            // Set in the target of this test, or rendered in another notation.
            _ if ["enabled", "address"].contains(&name) => continue,
            Some("1.2") => "\"1.2\"".to_owned(),
            Some("60s") => "1m".to_owned(),
            Some(listener) if listener.starts_with(':') => format!("\"{listener}\""),
            Some(other) => other.to_owned(),
        };
        assert!(
            text.contains(&format!("{name}: {default}\n")),
            "{key}: {default}\n{text}"
        );
    }
}

#[test]
fn examples_load() {
    let examples = blocks("yaml");
    assert_eq!(examples.len(), 8);
    let secrets = Pem::new();
    for (name, secret) in [
        ("central-token", "t\n"),
        ("archive-password", "x%2Fy\n"),
        ("nats.creds", super::shared::CREDS),
    ] {
        secrets.write(name, secret);
    }
    for example in examples {
        let config = yaml(&example.replace("/run/secrets", &secrets.dir())).config();
        assert!(config.remote_write.enabled || !config.scrape.jobs.is_empty());
    }
}

#[test]
fn faults_look_as_shown() {
    let (file, shown) = (blocks("yml"), blocks("text"));
    assert_eq!((file.len(), shown.len()), (1, 1));
    assert_eq!(yaml(file[0]).faults(), shown[0].trim_end());
}
