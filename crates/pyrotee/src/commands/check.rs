//! `pyrotee check`: says whether a configuration is valid and what it does, or prints its effective values, without
//! secrets.

use std::fmt::Write as _;

use pyrotee_config::{Config, Job, LocalWrites, Shared, Target};
use pyrotee_terminal::{counted, print, print_error, size, visible};

pub(crate) const EXAMPLES: &str = "\
Examples:
  pyrotee check pyrotee.yaml && kubectl rollout restart …
      Says where clients send to, where profiles go and what bounds them.

  pyrotee check --print pyrotee.yaml
      Prints every key with its effective value, as YAML.

  sops decrypt pyrotee.yaml | pyrotee check -
      Reads the configuration from the standard input.

Warnings are on stderr.

Exit codes: 0 valid, 2 invalid (every fault is on stderr, with file, line, key and remedy).";

/// Most targets of a summary. The others are counted.
const MAX_TARGETS: usize = 20;

/// Most jobs of pull mode of a summary. The others are counted.
const MAX_JOBS: usize = 20;

/// Width of the first column of a summary, in characters.
const LABEL: usize = 14;

/// What `check` prints of a valid configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The parts that matter most.
    Summary,
    /// All keys as YAML.
    Yaml,
}

/// Prints a configuration. It is valid, because loading it has succeeded.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    for warning in config.warnings() {
        print_error(&format!("warning: {warning}"));
    }
    match output {
        Output::Summary => print(&summary(config)),
        Output::Yaml => print(&config.to_yaml()),
    }
}

fn summary(config: &Config) -> String {
    let mut lines = vec![
        ("listen", config.listen.to_string()),
        ("admin", admin(config)),
        ("upstream", upstream(config)),
    ];
    let write = &config.remote_write;
    match (write.enabled, write.targets.as_slice()) {
        (true, targets) => {
            let shown = targets.iter().take(MAX_TARGETS);
            lines.extend(shown.map(|it| ("target", target(it))));
            let more = targets.len().saturating_sub(MAX_TARGETS);
            if more > 0 {
                lines.push(("", format!("and {}", counted(more as u64, "more target"))));
            }
        }
        (false, []) => {
            let none = match config.scrape.jobs.as_slice() {
                [] => "none: a plain proxy",
                _ => "none: profiles go to the upstream only",
            };
            lines.push(("targets", none.to_owned()));
        }
        (false, targets) => {
            let count = counted(targets.len() as u64, "target");
            let off = format!("{count}, not used: remote-write.enabled is false");
            lines.push(("targets", off));
        }
    }
    let jobs = &config.scrape.jobs;
    lines.extend(jobs.iter().take(MAX_JOBS).map(|it| ("job", job(it))));
    let more = jobs.len().saturating_sub(MAX_JOBS);
    if more > 0 {
        lines.push(("", format!("and {}", counted(more as u64, "more job"))));
    }
    let dir = |dir: &std::path::Path, max_bytes| {
        format!("{}, at most {}", dir.display(), size(max_bytes))
    };
    let spool = config.spool.as_ref().map(|it| dir(&it.dir, it.max_bytes));
    let none = "none: a restart loses queued profiles".to_owned();
    match &config.shared {
        Some(it) => lines.push(("shared", shared(it))),
        None => lines.push(("spool", spool.unwrap_or(none))),
    }
    let letters = config.dead_letters.as_ref();
    let letters = letters.map(|it| dir(&it.dir, it.max_bytes));
    let none = "none: rejected profiles are not kept".to_owned();
    lines.push(("dead letters", letters.unwrap_or(none)));
    lines.push(("limits", limits(config)));

    let mut text = "configuration is valid\n".to_owned();
    for (label, value) in lines {
        _ = writeln!(text, "  {label:<LABEL$}{value}");
    }
    text
}

fn admin(config: &Config) -> String {
    let token = match config.admin_token {
        Some(_) => "changes need the admin-token",
        None => "changes from this machine only",
    };
    format!("{}, {token}", config.admin)
}

fn upstream(config: &Config) -> String {
    let unused = config.remote_write.local_writes == LocalWrites::Discard;
    match &config.upstream {
        None => "none: profiles go to the targets only".to_owned(),
        Some(upstream) if unused => {
            format!(
                "{}, without profiles (disable-local-writes)",
                upstream.address
            )
        }
        Some(upstream) => upstream.address.to_string(),
    }
}

fn target(target: &Target) -> String {
    let (name, address) = (&target.name, &target.address);
    let mut text = format!("{name}: {address}, {}", target.credentials_kind());
    if let Some(tenant) = &target.tenant {
        _ = write!(text, ", tenant {tenant}");
    }
    let tags: Vec<_> = target
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={}", visible(value)))
        .collect();
    if !tags.is_empty() {
        _ = write!(text, ", tags {}", tags.join(", "));
    }
    text
}

/// A job of pull mode: its profiles, its interval, and where its scrape targets come from.
fn job(job: &Job) -> String {
    let enabled = job.profiles.iter().filter(|(_, it)| it.is_enabled);
    let enabled: Vec<_> = enabled.map(|(name, _)| name.as_str()).collect();
    let profiles = match enabled.as_slice() {
        [] => "no profile".to_owned(),
        names => names.join(", "),
    };
    let targets: usize = job.static_groups.iter().map(|it| it.targets.len()).sum();
    let mut sources = Vec::new();
    if targets > 0 {
        sources.push(counted(targets as u64, "scrape target"));
    }
    if !job.file_discoveries.is_empty() {
        sources.push("file-sd-configs".to_owned());
    }
    if !job.http_discoveries.is_empty() {
        sources.push("http-sd-configs".to_owned());
    }
    if sources.is_empty() {
        sources.push("no scrape targets".to_owned());
    }
    let interval = humantime::format_duration(job.interval);
    let (name, sources) = (visible(&job.name), sources.join(", "));
    format!("{name}: {profiles} every {interval}, {sources}")
}

/// The backlog that other relays share.
fn shared(shared: &Shared) -> String {
    let servers: Vec<_> = shared.servers.iter().map(|it| it.text.as_str()).collect();
    let after = humantime::format_duration(shared.after);
    format!(
        "backlog on {} as {}, what waits {after}, at most {} a target",
        visible(&servers.join(", ")),
        shared.prefix,
        size(shared.max_bytes)
    )
}

fn limits(config: &Config) -> String {
    format!(
        "{} of memory, {} a body, {} to stop",
        size(config.memory_limit),
        size(config.tee.max_body),
        humantime::format_duration(config.shutdown_grace)
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pyrotee_config::{Flags, Sources};

    use super::*;

    fn summary_of(yaml: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pyrotee.yaml");
        fs::write(&file, yaml).unwrap();
        let sources = Sources {
            file: Some(file),
            env: Vec::new(),
            flags: Flags::default(),
            cpus: 2,
        };
        summary(&pyrotee_config::load(sources).unwrap_or_else(|faults| panic!("{faults}")))
    }

    #[test]
    fn the_whole_of_a_relay_fits_a_few_lines_without_secrets() {
        let yaml = "
admin-token: s3cret-1
remote-write:
  enabled: true
  targets:
    b: { address: https://b/base, auth-token: s3cret-2, tenant-id: t1, tags: { pod: b-0, cluster-name: eu-1 } }
    a: { address: \"https://me:s3cret-3@a\" }
    c: { address: http://c, headers: { Authorization: s3cret-4 } }
    d: { address: http://d }
spool: { dir: /var/lib/pyrotee/spool }
";
        assert_eq!(
            summary_of(yaml),
            "\
configuration is valid
  listen        :4040
  admin         :4041, changes need the admin-token
  upstream      http://127.0.0.1:4042
  target        b: https://b/base, token, tenant t1, tags cluster_name=eu-1, pod=b-0
  target        a: https://a, user and password
  target        c: http://c, an Authorization header
  target        d: http://d, no credentials
  spool         /var/lib/pyrotee/spool, at most 1.0 GiB
  dead letters  /var/lib/pyrotee/spool/dead-letters, at most 64.0 MiB
  limits        256.0 MiB of memory, 64.0 MiB a body, 25s to stop
"
        );
    }

    #[test]
    fn what_is_not_there_or_not_used_is_said() {
        let plain = summary_of("");
        for part in [
            "targets       none: a plain proxy",
            "spool         none: a restart loses",
            "dead letters  none: rejected",
            "changes from this machine only",
        ] {
            assert!(plain.contains(part), "{part}\n{plain}");
        }
        let off = summary_of("remote-write: { targets: { a: { address: http://a } } }");
        let part = "targets       1 target, not used: remote-write.enabled is false";
        assert!(off.contains(part), "{off}");
        let only = "remote-write: { enabled: true, disable-local-writes: true, targets: { a: { address: http://a } } }";
        let without = summary_of(only);
        assert!(without.contains("upstream      none: "), "{without}");
        let with = format!("upstream: {{ address: http://u }}\n{only}");
        let with = summary_of(&with);
        assert!(with.contains("http://u, without profiles"), "{with}");
    }

    #[test]
    fn a_shared_backlog_takes_the_place_of_the_spool() {
        let shared = summary_of("shared: { servers: [nats://127.0.0.1:4222] }");
        let part = "shared        backlog on nats://127.0.0.1:4222 as pyrotee, what waits 10s, at most 1.0 GiB a target";
        assert!(shared.contains(part), "{shared}");
        assert!(!shared.contains("spool"), "{shared}");
    }

    #[test]
    fn a_job_is_said_in_a_line() {
        let yaml = "
scrape-configs:
  - job-name: shop
    scrape-interval: 1m30s
    enabled-profiles: [mem, cpu]
    static-configs: [{ application: a, targets: [a, b] }]
    http-sd-configs: [{ url: http://sd }, { url: http://sd2 }]
    bearer-token: s3cret
  - job-name: none
";
        let summary = summary_of(yaml);
        let part = "
  upstream      http://127.0.0.1:4042
  targets       none: profiles go to the upstream only
  job           shop: cpu, mem every 1m 30s, 2 scrape targets, http-sd-configs
  job           none: no profile every 10s, no scrape targets
";
        assert!(summary.contains(part), "{summary}");
        let jobs: String = (1..=22)
            .map(|number| format!("- job-name: j{number}\n"))
            .collect();
        let many = summary_of(&format!("scrape-configs:\n{jobs}"));
        assert!(
            many.contains("j20: no profile") && many.contains("and 2 more jobs\n"),
            "{many}"
        );
    }

    #[test]
    fn the_targets_beyond_twenty_are_counted() {
        for (count, shown, last) in [
            (20, 20, "t20"),
            (21, 20, "and 1 more target\n"),
            (23, 20, "and 3 more targets\n"),
        ] {
            let targets: Vec<_> = (1..=count)
                .map(|number| format!("t{number}: {{ address: http://t{number} }}"))
                .collect();
            let text = summary_of(&format!(
                "remote-write: {{ enabled: true, targets: {{ {} }} }}",
                targets.join(", ")
            ));
            assert_eq!(text.matches("\n  target  ").count(), shown);
            assert!(text.contains(last), "{text}");
        }
    }
}
