//! Tests that read a block into jobs, faults and warnings.

mod arbitrary;
mod client;
mod discoveries;
mod faults;
mod profiles;

use pyrotee_tls::{PemFile, SystemRoots};
use secrecy::SecretString;

use crate::{Expanded, Job, Sources, read_jobs};

/// Variables and files of a test: the variable `A`, and every file with its path as content.
struct Fixed(SystemRoots);

impl Sources for Fixed {
    fn expand(&self, text: &str) -> Result<Expanded, Vec<String>> {
        if text.contains("${NONE}") {
            return Err(vec!["the variable `NONE` is not set; set it".to_owned()]);
        }
        Ok(Expanded {
            text: text.replace("${A}", "s3cret"),
            variables: text
                .contains("${A}")
                .then(|| "A".to_owned())
                .into_iter()
                .collect(),
            is_bare_variable: text == "$A",
        })
    }

    fn file(&self, path: &str) -> Result<SecretString, String> {
        match path {
            "/missing" => {
                Err("the file `/missing` cannot be read; see that it is there".to_owned())
            }
            path => Ok(format!("content-of-{path}").into()),
        }
    }

    fn pem_files(&self, _: &str, paths: &[&str]) -> Vec<Result<PemFile, String>> {
        let file = |path: &&str| Ok(PemFile::new(*path, b"no blocks".to_vec()));
        paths.iter().map(file).collect()
    }

    fn system_roots(&self) -> Result<&SystemRoots, String> {
        Ok(&self.0)
    }
}

/// Jobs, faults as `LINE: KEY: TEXT`, and warnings.
fn read(block: &str) -> (Option<Vec<Job>>, Vec<String>, Vec<String>) {
    let mut faults = Vec::new();
    let node = pyrotee_yaml::parse(block, &mut faults).unwrap().unwrap();
    // A key that is written twice is a fault of the document.
    let of_document = faults.len();
    let mut warnings = Vec::new();
    let sources = Fixed(SystemRoots::load().unwrap());
    let jobs = read_jobs(&node, &sources, &mut faults, &mut warnings);
    assert_eq!(jobs.is_none(), faults.len() > of_document);
    let faults = faults
        .iter()
        .map(|it| format!("{}: {}: {}", it.line, it.key, it.text));
    (jobs, faults.collect(), warnings)
}

/// One job of these lines, without faults and warnings.
#[track_caller]
fn job(lines: &str) -> Job {
    let (jobs, faults, warnings) = read(&complete(lines));
    assert_eq!((faults, warnings), (Vec::new(), Vec::new()));
    jobs.unwrap().pop().unwrap()
}

/// The faults of a job of these lines, the first of which is line 4.
#[track_caller]
fn faults(lines: &str) -> Vec<String> {
    read(&complete(lines)).1
}

#[track_caller]
fn warnings(lines: &str) -> Vec<String> {
    let (_, faults, warnings) = read(&complete(lines));
    assert_eq!(faults, Vec::<String>::new());
    warnings
}

/// A job that has nothing to warn of, and these lines.
fn complete(lines: &str) -> String {
    let group = match lines.contains("-configs:") {
        true => "\n",
        false => "  static-configs: [{ application: a, targets: [a] }]\n",
    };
    let enabled = match lines.contains("enabled-profiles:") {
        true => "\n",
        false => "  enabled-profiles: [cpu]\n",
    };
    let lines: Vec<_> = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("- job-name: j\n{group}{enabled}{}", lines.concat())
}
