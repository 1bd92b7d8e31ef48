//! Groups of scrape targets that the file names (`static-configs`).

use http::uri::Authority;
use pyroscope_wire::scrape::Group;

use super::{keys, labels, section::Section};

/// Reads the groups of `static-configs`.
pub(super) fn groups(job: &Section<'_>) -> Vec<Group> {
    let sections = job.sections("static-configs");
    sections.iter().map(group).collect()
}

fn group(section: &Section<'_>) -> Group {
    section.check_keys(&[keys::GROUP], &[]);
    let application = match section.scalar("application") {
        Some(name) if Group::is_valid_application(&name.text) => name.text,
        Some(name) => {
            section.fault_of(
                &name,
                "is no name of an application; use letters, digits, `_`, `.` and `-`",
            );
            String::new()
        }
        None => {
            if !section.has("application") {
                let text = "is missing; write the name of the application, under which its profiles are stored";
                section.fault("application", text);
            }
            String::new()
        }
    };
    let mut targets = Vec::new();
    for target in section.scalars("targets") {
        match problem(&target.text) {
            Some(problem) => section.fault_of(&target, problem),
            None => targets.push(target.text),
        }
    }
    Group {
        application,
        spy_name: section.text("spy-name"),
        targets,
        labels: labels::labels(section),
    }
}

/// Why a text cannot be the address of a scrape target.
fn problem(address: &str) -> Option<&'static str> {
    if address.contains("://") {
        return Some("has a scheme; write HOST:PORT, and `scheme` beside `job-name`");
    }
    if address.contains('/') {
        return Some("has a path; write HOST:PORT, and the path under `profiles`");
    }
    match address.parse::<Authority>() {
        Ok(authority) if authority.as_str().contains('@') => {
            Some("has a user; write HOST:PORT, and `basic-auth` beside `job-name`")
        }
        Ok(authority) if !authority.host().is_empty() && has_valid_port(&authority) => None,
        _ => Some("is no address; write HOST:PORT, and an IPv6 address in brackets"),
    }
}

/// Whether the port is one, or there is none.
fn has_valid_port(authority: &Authority) -> bool {
    let behind = authority.as_str().strip_prefix(authority.host());
    match behind {
        Some("") => true,
        _ => authority.port_u16().is_some_and(|port| port > 0),
    }
}

/// Whether an address is the name of a Kubernetes Service, behind which several processes may be.
pub(super) fn is_service(address: &str) -> bool {
    let host = address.split(':').next().unwrap_or_default();
    let labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    labels.get(2) == Some(&"svc")
}
