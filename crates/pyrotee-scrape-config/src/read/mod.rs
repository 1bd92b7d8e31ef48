//! Reads the block `scrape-configs`.

mod client;
mod discoveries;
mod interval;
mod job;
mod keys;
mod labels;
mod profiles;
mod section;
mod static_groups;

use std::collections::HashMap;

use pyrotee_yaml::{Fault, Kind, Node, shown};

pub use self::keys::job_keys;
use self::section::{Report, Section};
use crate::{Job, Sources};

/// The key of the block.
pub const KEY: &str = "scrape-configs";

/// Reads the jobs of the block `scrape-configs`. `None` if a fault was added to `faults`. `warnings` gets a sentence for
/// each setting that is allowed but probably not meant. Neither shows a secret.
pub fn read_jobs(
    block: &Node,
    sources: &dyn Sources,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<String>,
) -> Option<Vec<Job>> {
    let report = Report::new(sources);
    let jobs = jobs(block, &report);
    let (mut found, warned) = report.into_parts();
    let is_valid = found.is_empty();
    found.sort_by_key(|fault| fault.line);
    faults.append(&mut found);
    warnings.extend(warned);
    is_valid.then_some(jobs)
}

fn jobs(block: &Node, report: &Report<'_>) -> Vec<Job> {
    let items = match &block.kind {
        Kind::List(items) => items.as_slice(),
        Kind::Null(_) => &[],
        Kind::Text(_) | Kind::Map(_) => {
            let text =
                "takes a list of jobs; write `- job-name: NAME`, and the keys of the job below it";
            report.fault(block.line, KEY, text);
            &[]
        }
    };
    let mut lines = HashMap::new();
    let mut jobs = Vec::new();
    for (number, node) in (1..).zip(items) {
        let name = node.get("job-name").and_then(|node| match &node.kind {
            Kind::Text(text) if !text.is_empty() && shown(text) == *text => Some(text.clone()),
            _ => None,
        });
        let place = name.unwrap_or_else(|| number.to_string());
        let Some(section) = Section::of(node, format!("{KEY}[{place}]"), report) else {
            continue;
        };
        let job = job::job(&section);
        if let Some(first) = lines.get(&job.name).filter(|_| !job.name.is_empty()) {
            let text =
                format!("is the name of the job on line {first} as well; rename one of the two");
            section.fault("job-name", &text);
        } else {
            lines.insert(job.name.clone(), node.line);
        }
        jobs.push(job);
    }
    jobs
}
