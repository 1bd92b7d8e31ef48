//! The files of certificates of a configuration, and the servers whose certificates are not verified, for metrics,
//! status and warnings.

use std::path::Path;
use std::time::SystemTime;

use pyrotee_scrape_config::KEY;
use pyrotee_tls::{CertificateInfo, ClientTls, TlsPart};

use crate::{
    faults::dotted,
    settings::{Config, OutgoingTls},
};

/// A file of certificates that a configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFile<'c> {
    /// What the certificates are for: the label of the metric.
    pub role: &'static str,
    /// The path as it is configured.
    pub path: &'c Path,
    /// When the first certificate of the file expires.
    pub not_after: SystemTime,
}

/// A server that the relay speaks TLS to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsServer<'c> {
    /// `upstream`, `target`, `shared` or `scrape`: the label of the metric.
    pub role: &'static str,
    /// Name of the target or of the job; `upstream` for the upstream, `shared` for the servers of the shared backlog.
    pub name: &'c str,
}

impl TlsServer<'_> {
    /// The section of its TLS.
    #[must_use]
    pub fn section(&self) -> String {
        match self.role {
            TARGET => dotted(&["remote-write", "targets", self.name, "tls"]),
            // The section of the job, or of one of its `http-sd-configs`.
            SCRAPE => format!("{KEY}[{}].tls-config", self.name),
            role => format!("{role}.tls"),
        }
    }
}

/// TLS of a job of pull mode, or of one of its `http-sd-configs`.
pub(crate) struct JobTls<'c> {
    pub(crate) server: TlsServer<'c>,
    /// Number of the entry of `http-sd-configs`, from 1; `None`: the job itself.
    list: Option<usize>,
    pub(crate) tls: &'c ClientTls,
}

impl JobTls<'_> {
    /// The section of the TLS.
    pub(crate) fn section(&self) -> String {
        let name = self.server.name;
        match self.list {
            None => self.server.section(),
            Some(number) => format!("{KEY}[{name}].http-sd-configs[{number}].tls-config"),
        }
    }
}

const UPSTREAM: &str = "upstream";
const TARGET: &str = "target";
const SHARED: &str = "shared";
const SCRAPE: &str = "scrape";

impl Config {
    /// The files of certificates, sorted; a file that several sections name for one role is there once.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<CertificateFile<'_>> {
        let mut found = Vec::new();
        let listeners = [
            (&self.listen_tls, ["listen", "listen_client_ca"]),
            (&self.admin_tls, ["admin", "admin_client_ca"]),
        ];
        for (tls, roles) in listeners {
            if let Some(listener) = tls {
                add(listener.tls.certificates(), roles, &mut found);
            }
        }
        for (server, tls) in self.servers() {
            let roles = match server.role {
                TARGET => [TARGET, "target_ca"],
                SHARED => [SHARED, "shared_ca"],
                _ => [UPSTREAM, "upstream_ca"],
            };
            add(tls.tls.certificates(), roles, &mut found);
        }
        for job in self.tls_of_jobs() {
            add(job.tls.certificates(), [SCRAPE, "scrape_ca"], &mut found);
        }
        found.sort_by_key(|file| (file.role, file.path, file.not_after));
        found.dedup_by_key(|file| (file.role, file.path));
        found
    }

    /// The servers whose certificates are not verified (`insecure-skip-verify`).
    pub fn unverified_servers(&self) -> impl Iterator<Item = TlsServer<'_>> {
        let unverified = self
            .servers()
            .filter(|(_, tls)| tls.tls.skips_verification());
        let jobs = self.tls_of_jobs().filter(|it| it.tls.skips_verification());
        let mut jobs: Vec<_> = jobs.map(|it| it.server).collect();
        // A job and its discoveries have TLS of their own.
        jobs.dedup();
        unverified.map(|(server, _)| server).chain(jobs)
    }

    /// TLS of the jobs of pull mode, and of their `http-sd-configs`.
    pub(crate) fn tls_of_jobs(&self) -> impl Iterator<Item = JobTls<'_>> {
        self.scrape.jobs.iter().flat_map(|job| {
            let (role, name) = (SCRAPE, job.name.as_str());
            let own = std::iter::once((None, &job.client));
            let lists = (1..).zip(&job.http_discoveries);
            let clients = own.chain(lists.map(|(number, it)| (Some(number), &it.client)));
            clients.filter_map(move |(list, client)| {
                Some(JobTls {
                    server: TlsServer { role, name },
                    list,
                    tls: client.tls.as_ref()?,
                })
            })
        })
    }

    /// The servers that are spoken to over TLS.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (TlsServer<'_>, &OutgoingTls)> {
        let upstream = self.upstream.iter();
        let upstream = upstream.map(|it| (UPSTREAM, UPSTREAM, &it.tls));
        let targets = self.remote_write.targets.iter();
        let targets = targets.map(|it| (TARGET, it.name.as_str(), &it.tls));
        let shared = self.shared.iter().map(|it| (SHARED, SHARED, &it.tls));
        let all = upstream.chain(targets).chain(shared);
        all.filter_map(|(role, name, tls)| Some((TlsServer { role, name }, tls.as_ref()?)))
    }
}

/// Adds certificates with the role of an own certificate or of an authority.
fn add<'c>(
    certificates: &'c [CertificateInfo],
    [own, authority]: [&'static str; 2],
    found: &mut Vec<CertificateFile<'c>>,
) {
    let files = certificates.iter().filter_map(|info| {
        let role = match info.part() {
            TlsPart::CertFile => own,
            _ => authority,
        };
        let (path, not_after) = (info.path(), info.not_after()?);
        Some(CertificateFile {
            role,
            path,
            not_after,
        })
    });
    found.extend(files);
}
