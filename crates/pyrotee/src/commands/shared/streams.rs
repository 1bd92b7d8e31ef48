//! `pyrotee shared list`, `check` and `delete`, which connect to NATS without a relay.

use std::process::ExitCode;
use std::time::SystemTime;

use pyrotee_admin::json::time;
use pyrotee_config::{Config, Flags, Shared, Sources, Target};
use pyrotee_jetstream::Settings;
use pyrotee_jetstream::inspect::{self, CheckedTarget, Level, StreamRow};
use pyrotee_net::Resolver;
use pyrotee_queue::Supervisor;
use pyrotee_relay::shared_settings;
use pyrotee_terminal::{Table, age, print, print_json, size, visible};
use serde_json::{Value, json};

use super::{ConfigArgs, ReadArgs};
use crate::commands::UsageError;
use crate::commands::relay::file_of_environment;

const HEAD: [&str; 6] = ["STREAM", "TARGET", "WAITING", "OLDEST", "SIZE", "LIMIT"];

/// A configuration with a shared backlog.
struct Opened {
    settings: Settings,
    shared: Shared,
    targets: Vec<Target>,
    max_body: u64,
}

impl ConfigArgs {
    /// # Errors
    /// The configuration has faults, or no section `shared`.
    fn open(self) -> anyhow::Result<Opened> {
        let file = self.config.or_else(file_of_environment);
        let config = pyrotee_config::load(Sources::of_process(file, Flags::default()))?;
        let Config {
            shared,
            remote_write,
            tee,
            ..
        } = config;
        let shared = shared.ok_or_else(|| {
            let text = "the configuration has no section `shared`: give that of a relay that shares its backlog with --config";
            UsageError(text.to_owned())
        })?;
        Ok(Opened {
            settings: shared_settings(&shared, Resolver::system()?, Supervisor::default()),
            shared,
            targets: remote_write.targets,
            max_body: tee.max_body,
        })
    }
}

pub(super) async fn list(args: ReadArgs) -> anyhow::Result<ExitCode> {
    let opened = args.config.open()?;
    let rows = inspect::list(&opened.settings).await?;
    let is_configured = |row: &StreamRow| {
        opened
            .targets
            .iter()
            .any(|target| target.name == row.target)
    };
    if args.json {
        let rows = rows.iter().map(|row| {
            json!({
                "stream": row.stream, "target": row.target, "configured": is_configured(row),
                "waiting": row.waiting, "bytes": row.bytes, "max_bytes": row.max_bytes,
                "oldest": row.oldest.map(time), "replicas": row.replicas,
            })
        });
        print_json(&format!("{}\n", Value::from_iter(rows)))?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        let prefix = &opened.shared.prefix;
        print(&format!("no stream has the prefix {prefix}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(HEAD);
    for row in &rows {
        let target = match is_configured(row) {
            true => row.target.clone(),
            false => format!("{} (not configured)", row.target),
        };
        let oldest = row.oldest.map(|at| SystemTime::now().duration_since(at));
        table.row([
            row.stream.clone(),
            target,
            row.waiting.to_string(),
            oldest.map_or_else(|| "-".to_owned(), |it| age(it.unwrap_or_default())),
            size(row.bytes),
            row.max_bytes.map_or_else(|| "-".to_owned(), size),
        ]);
    }
    print(&table.render(usize::MAX))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(args: ReadArgs) -> anyhow::Result<ExitCode> {
    let opened = args.config.open()?;
    let targets = opened.targets.iter().map(|target| CheckedTarget {
        name: target.name.clone(),
        max_bytes: target.shared_max_bytes.unwrap_or(opened.shared.max_bytes),
        max_age: target.max_age,
        timeout: target.timeout,
        longest_body: opened.max_body,
    });
    let targets: Vec<_> = targets.collect();
    let findings = inspect::check(&opened.settings, &targets).await;
    if args.json {
        let findings = findings.iter();
        let findings = findings.map(|it| json!({ "level": word(it.level), "what": it.what }));
        print_json(&format!("{}\n", Value::from_iter(findings)))?;
    } else {
        let lines = findings.iter();
        let lines = lines.map(|it| format!("{:<8} {}\n", word(it.level), visible(&it.what)));
        print(&lines.collect::<String>())?;
    }
    Ok(match findings.iter().any(|it| it.level == Level::Fault) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Fault => "fault",
    }
}

pub(super) async fn delete(
    stream: &str,
    yes: bool,
    config: ConfigArgs,
) -> anyhow::Result<ExitCode> {
    let opened = config.open()?;
    let rows = inspect::list(&opened.settings).await?;
    let mut found = rows.into_iter().filter(|row| row.stream == stream);
    let Some(row) = found.next() else {
        let text = format!("there is no stream {stream} of this prefix: see `pyrotee shared list`");
        return Err(UsageError(text).into());
    };
    let (target, waiting) = (&row.target, row.waiting);
    if opened.targets.iter().any(|it| it.name == *target) {
        let text = format!(
            "{stream} is the stream of the configured target {target}: `pyrotee shared purge {target}` empties it"
        );
        return Err(UsageError(text).into());
    }
    if !yes {
        let text = format!(
            "{stream} has {waiting} waiting profiles, which are lost for all relays: add --yes to delete it"
        );
        return Err(UsageError(text).into());
    }
    inspect::delete(&opened.settings, stream).await?;
    print(&format!(
        "{}: deleted with {waiting} profiles\n",
        visible(stream)
    ))?;
    Ok(ExitCode::SUCCESS)
}
