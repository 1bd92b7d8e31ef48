//! `pyrotee reload`: has a running relay reload its configuration, and prints what changed.

use pyrotee_admin::json::reload::{Change, ReloadReport, ReloadResult, TargetChangeJson};
use pyrotee_terminal::{print, visible};

use super::relay::RelayArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee reload
      The relay on this machine reads its configuration and the files that it names
      again, and applies the changes. Requests and connections go on.

  ExecReload=pyrotee reload
      In a unit of systemd: `systemctl reload pyrotee` fails if the configuration
      has faults, and its log has each of them.

  pyrotee reload --admin relay.internal:4041
      Another relay. A relay with an admin-token requires it. The token is taken
      from PYROTEE_ADMIN_TOKEN, else from the configuration of --config or
      PYROTEE_CONFIG. If the admin-token itself has changed, the relay still
      requires the old one: set PYROTEE_ADMIN_TOKEN, or send SIGHUP to the relay.
      If `admin` has changed in the file, name the old one with --admin.

The relay reads its own configuration; the command reads the address and the token in
the file of --config. A configuration with faults changes nothing, and every fault is on stderr.
Keys that only a restart changes are printed, and the other changes are applied.

Exit codes: 0 applied or nothing to apply, 1 the relay does not respond or refused
the token, 2 the configuration or the command line is wrong.";

/// The beginning of the keys of a target.
const TARGETS: &str = "remote-write.targets.";

/// Have a running relay reload its configuration
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    relay: RelayArgs,
}

/// The relay refused a configuration: the faults, a line for each.
#[derive(Debug, thiserror::Error)]
#[error("{}the relay goes on with the configuration in force", .0.concat())]
pub(crate) struct Refused(Vec<String>);

/// Asks the relay for a reload and prints the changes.
///
/// # Errors
/// The relay does not reload, or refuses the configuration ([`Refused`]); the text says what to do next.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let relay = args.relay.client_with_token()?;
    let report = relay.reload().await?;
    print(&text(&report))?;
    match report.result {
        ReloadResult::Changed | ReloadResult::Unchanged => Ok(()),
        ReloadResult::Refused => {
            let faults = report.faults.iter();
            Err(Refused(faults.map(|fault| visible(fault) + "\n").collect()).into())
        }
    }
}

/// A line for each change, each key that needs a restart, and each file that cannot be used.
fn text(report: &ReloadReport) -> String {
    let mut lines: Vec<_> = report
        .targets
        .iter()
        .map(|target| target_line(report, target))
        .collect();
    let others = report.changes.iter();
    let others = others.filter(|change| target_of(report, &change.key).is_none());
    // The change of such a key is not applied; the key has a line of its own below.
    let applied = others.filter(|change| !report.restart_required.contains(&change.key));
    lines.extend(applied.map(|change| format!("{} {}", change.key, change.kind.as_str())));
    if report.result == ReloadResult::Unchanged {
        lines.push("nothing changed".to_owned());
    }
    let restart = report.restart_required.iter();
    lines.extend(restart.map(|key| format!("needs a restart: {key}")));
    let stale = report.stale_files.iter();
    lines.extend(
        stale.map(|file| format!("{} keeps its last good content: {}", file.path, file.text)),
    );
    lines.iter().map(|line| visible(line) + "\n").collect()
}

/// The change of a target, with the changed keys of a target that stays.
fn target_line(report: &ReloadReport, target: &TargetChangeJson) -> String {
    let line = format!("target {} {}", target.name, target.change.as_str());
    let keys = report.changes.iter().filter_map(|change| {
        let (of, key) = target_of(report, &change.key)?;
        (of == target).then_some(key)
    });
    let keys: Vec<_> = keys.collect();
    match keys.is_empty() || matches!(target.change, Change::Added | Change::Removed) {
        true => line,
        false => format!("{line}: {}", keys.join(", ")),
    }
}

/// The target in the report that a key belongs to, and the rest of the key. The name of a target may be the beginning of
/// another name, up to a dot: the longest name counts.
fn target_of<'a>(
    report: &'a ReloadReport,
    key: &'a str,
) -> Option<(&'a TargetChangeJson, &'a str)> {
    let key = key.strip_prefix(TARGETS)?;
    let of = |target: &'a TargetChangeJson| {
        let rest = key.strip_prefix(target.name.as_str())?;
        let rest = rest.strip_prefix('.').or(rest.is_empty().then_some(rest))?;
        Some((target, rest))
    };
    let found = report.targets.iter().filter_map(of);
    found.min_by_key(|(_, rest)| rest.len())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::commands::tls_args::TlsArgs;

    fn report(fields: &Value) -> ReloadReport {
        let mut report = json!({
            "result": "changed", "hash": "a", "changes": [], "targets": [],
            "restart_required": [], "faults": [], "stale_files": [],
        });
        for (field, value) in fields.as_object().unwrap() {
            report[field] = value.clone();
        }
        serde_json::from_value(report).unwrap()
    }

    /// Runs the command against a stand-in for a relay that sends one response.
    async fn run_with(status: &str, body: &str) -> anyhow::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let admin = listener.local_addr().unwrap().to_string();
        let length = body.len();
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let length = socket.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"POST /-/reload HTTP/1.1\r\n"));
            socket.write_all(response.as_bytes()).await.unwrap();
        };
        let relay = RelayArgs {
            admin: Some(admin),
            config: None,
            tls: TlsArgs::default(),
        };
        let ((), result) = tokio::join!(serving, run(Args { relay }));
        result
    }

    #[tokio::test]
    async fn a_refused_configuration_is_an_error_of_its_own() {
        let json = |fields| serde_json::to_string(&report(&fields)).unwrap();
        let changed = json(json!({ "targets": [{ "name": "a", "change": "added" }] }));
        run_with("200 OK", &changed).await.unwrap();
        let faults = ["listen: no address", "admin: no address"];
        let refused = json(json!({ "result": "refused", "faults": faults }));
        let error = run_with("400 Bad Request", &refused).await.unwrap_err();
        let Refused(lines) = error.downcast_ref().unwrap();
        assert_eq!(lines[..], faults.map(|it| format!("{it}\n")));
        let token = r#"{"error":"this needs the relay's admin-token"}"#;
        for (status, body) in [("401 Unauthorized", token), ("404 Not Found", "no")] {
            let error = run_with(status, body).await.unwrap_err();
            assert!(!error.is::<Refused>(), "{error:#}");
        }
    }

    #[test]
    fn each_change_has_a_line() {
        let report = report(&json!({
            "targets": [
                { "name": "central", "change": "changed" },
                { "name": "eu", "change": "removed" },
                { "name": "eu.west", "change": "added" },
                { "name": "us", "change": "returned" },
            ],
            "changes": [
                { "key": "log.level", "kind": "changed" },
                { "key": "spool.dir", "kind": "added" },
                { "key": "remote-write.targets.central.tags.pod", "kind": "added" },
                { "key": "remote-write.targets.central.timeout", "kind": "changed" },
                { "key": "remote-write.targets.eu.address", "kind": "removed" },
                { "key": "remote-write.targets.eu.west.address", "kind": "added" },
                { "key": "remote-write.targets.us.timeout", "kind": "changed" },
            ],
            "restart_required": ["listen", "spool.dir"],
            "stale_files": [{ "path": "/run/token", "text": "it is empty" }],
        }));
        assert_eq!(
            text(&report),
            "\
target central changed: tags.pod, timeout
target eu removed
target eu.west added
target us returned: timeout
log.level changed
needs a restart: listen
needs a restart: spool.dir
/run/token keeps its last good content: it is empty
"
        );
    }

    #[test]
    fn a_reload_that_changes_nothing_says_so() {
        let unchanged = json!({ "result": "unchanged", "restart_required": ["listen"] });
        let shown = text(&report(&unchanged));
        assert_eq!(shown, "nothing changed\nneeds a restart: listen\n");
    }

    #[test]
    fn every_fault_has_a_line_and_none_is_obeyed_by_a_terminal() {
        let faults = ["listen: no address\n", "\u{1b}[2J"].map(|it| visible(it) + "\n");
        assert_eq!(
            Refused(faults.into()).to_string(),
            "listen: no address\\n\n\\u{1b}[2J\nthe relay goes on with the configuration in force"
        );
        let hostile = json!({ "targets": [{ "name": "a\u{1b}", "change": "moved" }] });
        assert_eq!(text(&report(&hostile)), "target a\\u{1b} other\n");
    }
}
